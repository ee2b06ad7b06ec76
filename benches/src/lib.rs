//! What the benchmarks measure with: a policy of one hundred clauses, and texts of any length.
//!
//! Everything is made by code from the word lists here, the same on every machine and in every run.

mod counting;
mod policy;
mod texts;

pub use counting::{Counting, allocations};
pub use policy::{CLAUSES, hundred_clauses};
pub use texts::{ADVERSARIAL, adversarial, benign_request, broken_request, foreign, log, prose, repeated};

use brightline::{Compiler, Guard, Policy};

/// A generator of indexes: the low quality of its numbers is enough to mix words.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % bound.max(1)
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words.get(self.below(words.len())).copied().unwrap_or_default()
    }
}

/// The policy of [`hundred_clauses`], or a shipped one by its name.
///
/// # Panics
/// If it does not compile.
#[expect(clippy::panic, reason = "a benchmark without its policy has nothing to measure")]
pub fn policy(name: &str) -> Policy {
    let compiler = Compiler::without_files();
    let compiled = match brightline::compiler::shipped(name) {
        Some(text) => compiler.text(format!("{name}.md"), text),
        None => compiler.text("hundred.md", hundred_clauses()),
    };
    compiled.into_policy().unwrap_or_else(|error| panic!("`{name}` does not compile: {error:?}"))
}

/// A guard with the policy of that name.
///
/// # Panics
/// If there is none.
#[expect(clippy::panic, reason = "a benchmark without its policy has nothing to measure")]
pub fn guard(name: &str) -> Guard {
    Guard::new(policy(name)).unwrap_or_else(|error| panic!("`{name}` makes no guard: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use brightline::{Action, Input};

    #[test]
    fn the_policy_has_the_size_it_promises() {
        let policy = policy("hundred");
        let regexes = |pattern: &&brightline::policy::Pattern| {
            matches!(pattern.kind, brightline::policy::PatternKind::Regex { .. })
        };
        assert_eq!(policy.clauses().len(), CLAUSES);
        assert_eq!(policy.data().patterns.len(), 1_200);
        assert_eq!(policy.data().patterns.iter().filter(regexes).count(), 200);
    }

    #[test]
    fn the_benign_request_is_benign_under_every_policy() {
        for name in ["hundred"].iter().chain(brightline::compiler::SHIPPED) {
            let guard = guard(name);
            for text in [benign_request(), prose(100_000), foreign(10_000)] {
                let verdict = guard.check(&Input::request(text)).unwrap();
                assert_eq!((verdict.action, verdict.findings.len()), (Action::Allow, 0), "{name}");
            }
        }
    }

    #[test]
    fn the_broken_request_has_findings() {
        let verdict = guard("hundred").check(&Input::request(broken_request())).unwrap();
        assert!(verdict.findings.len() >= 3, "{:?}", verdict.findings);
    }

    #[test]
    fn texts_have_the_length_asked_for() {
        for bytes in [0, 1, 100, 1_000, 54_321] {
            assert_eq!(prose(bytes).len(), bytes);
            assert!((bytes..bytes + 4).contains(&foreign(bytes).len()));
            assert!(ADVERSARIAL.iter().all(|(name, _)| adversarial(name, bytes).len() >= bytes));
        }
    }
}
