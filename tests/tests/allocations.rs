//! The promise that a warm check of an innocent request asks for no memory. Alone in its program: the counter sees
//! every thread.

use brightline::Input;
use brightline_benches::{Counting, allocations, benign_request, foreign, guard};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_warm_check_without_findings_allocates_nothing() {
    for name in ["hundred", "default", "constitution", "model-spec"] {
        let guard = guard(name);
        let inputs = [
            Input::request(benign_request()),
            Input::request(foreign(1_000)),
            Input::exchange("What comes next in the plan?", benign_request()),
        ];
        for (at, input) in inputs.iter().enumerate() {
            // Regular expressions and buffers are built when first needed.
            (0..3).for_each(|_| drop(guard.check(input).unwrap()));
            let verdict = guard.check(input).unwrap();
            assert!(verdict.findings.is_empty(), "{name}, input {at}: the text must have no finding");
            assert_eq!(allocations(|| guard.check(input)), 0, "{name}, input {at}");
        }
    }
}
