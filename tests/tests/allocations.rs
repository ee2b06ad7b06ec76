//! A warm check of a text without findings allocates nothing.

use brightline::compiler::Compiler;
use brightline::{Action, Guard, Input, Policy};
use brightline_tests::{prose, synthetic};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

#[expect(unsafe_code, reason = "an allocator can be counted only from inside")]
// SAFETY: every call goes to the system's allocator unchanged; the counter allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(guard: &Guard, input: &Input<'_>) -> usize {
    let before = COUNT.with(Cell::get);
    let verdict = guard.check(input).unwrap();
    let after = COUNT.with(Cell::get);
    assert_eq!(verdict.action, Action::Allow, "the text must have no finding");
    drop(verdict);
    after - before
}

fn assert_warm_checks_are_free(guard: &Guard, text: &str) {
    let request = Input::request(text);
    let exchange = Input::exchange("What comes next in the plan?", text);
    for input in [&request, &exchange] {
        // Regular expressions and buffers are built when first needed.
        (0..3).for_each(|_| drop(guard.check(input).unwrap()));
        assert_eq!(allocations(guard, input), 0);
    }
}

#[test]
fn under_a_policy_of_a_hundred_clauses() {
    let policy = Compiler::without_files().text("synthetic.md", synthetic(100)).into_policy().unwrap();
    assert_eq!(policy.clauses().len(), 100);
    let guard = Guard::new(policy).unwrap();
    assert_warm_checks_are_free(&guard, &prose(1000));
    assert_warm_checks_are_free(
        &guard,
        "Wie geht es Ihnen? Ça va très bien — 你好, привет, здравствуйте! 🙂",
    );
}

#[test]
fn under_the_shipped_policies() {
    for name in ["default", "constitution", "model-spec"] {
        let guard = Guard::new(Policy::load(name).unwrap()).unwrap();
        assert_warm_checks_are_free(&guard, "Could you explain how rainbows form, and why they are curved?");
    }
}
