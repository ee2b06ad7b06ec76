//! The promise that a warm check of an innocent request asks for no memory. Alone in its program: the counter sees
//! every thread.

use brightline::Input;
use brightline_benches::{Counting, allocations, benign_request, guard};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_warm_check_of_an_innocent_request_allocates_nothing() {
    for name in ["hundred", "default", "constitution", "model-spec"] {
        let guard = guard(name);
        let input = Input::request(benign_request());
        for _ in 0..3 {
            guard.check(&input).unwrap();
        }
        assert_eq!(allocations(|| guard.check(&input)), 0, "{name}");
    }
}
