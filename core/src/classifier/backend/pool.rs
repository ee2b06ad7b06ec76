//! Sessions that are taken out, used by one thread and put back.

use super::RunError;
use parking_lot::{Condvar, Mutex};
use std::fmt;
use std::time::Instant;

/// A bounded pool. A session is made when none is idle and the bound is not reached; after that, takers wait.
pub(super) struct Pool<T> {
    state: Mutex<State<T>>,
    returned: Condvar,
    max: usize,
    make: Box<dyn Fn() -> Result<T, String> + Send + Sync>,
}

struct State<T> {
    idle: Vec<T>,
    made: usize,
}

/// A session on loan.
pub(super) struct Lease<'a, T> {
    pool: &'a Pool<T>,
    session: Option<T>,
}

impl<T> Pool<T> {
    /// A pool of at most `max` sessions that holds one already.
    pub(super) fn new(
        first: T,
        max: usize,
        make: impl Fn() -> Result<T, String> + Send + Sync + 'static,
    ) -> Self {
        let state = Mutex::new(State { idle: vec![first], made: 1 });
        Self { state, returned: Condvar::new(), max: max.max(1), make: Box::new(make) }
    }

    /// Takes a session, and waits for one until the deadline.
    pub(super) fn take(&self, deadline: Option<Instant>) -> Result<Lease<'_, T>, RunError> {
        let mut state = self.state.lock();
        loop {
            if let Some(session) = state.idle.pop() {
                return Ok(Lease { pool: self, session: Some(session) });
            }
            if state.made < self.max {
                state.made += 1;
                drop(state);
                return match (self.make)() {
                    Ok(session) => Ok(Lease { pool: self, session: Some(session) }),
                    Err(reason) => {
                        self.state.lock().made -= 1;
                        self.returned.notify_one();
                        Err(RunError::Failed(reason))
                    }
                };
            }
            match deadline {
                None => self.returned.wait(&mut state),
                Some(deadline) => {
                    if self.returned.wait_until(&mut state, deadline).timed_out() && state.idle.is_empty() {
                        return Err(RunError::Late);
                    }
                }
            }
        }
    }
}

impl<T> Lease<'_, T> {
    /// The session.
    pub(super) fn get(&mut self) -> Option<&mut T> {
        self.session.as_mut()
    }
}

impl<T> Drop for Lease<'_, T> {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.pool.state.lock().idle.push(session);
            self.pool.returned.notify_one();
        }
    }
}

impl<T> fmt::Debug for Pool<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Pool({} of {})", self.state.lock().made, self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[test]
    fn at_most_max_sessions_are_made_and_all_come_back() {
        let made = std::sync::Arc::new(AtomicUsize::new(1));
        let count = made.clone();
        let pool = Pool::new(0, 3, move || Ok(count.fetch_add(1, Ordering::SeqCst)));
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let mut lease = pool.take(None).unwrap();
                        *lease.get().unwrap() += 1;
                    }
                });
            }
        });
        assert!(made.load(Ordering::SeqCst) <= 3);
        let state = pool.state.lock();
        assert_eq!(state.idle.len(), state.made);
    }

    #[test]
    fn a_taker_gives_up_at_its_deadline() {
        let pool = Pool::new((), 1, || Ok(()));
        let _held = pool.take(None).unwrap();
        let soon = Instant::now() + Duration::from_millis(5);
        assert!(matches!(pool.take(Some(soon)), Err(RunError::Late)));
    }

    #[test]
    fn a_session_that_cannot_be_made_takes_no_place() {
        let pool = Pool::new((), 2, || Err("no memory".to_string()));
        let held = pool.take(None).unwrap();
        assert!(matches!(pool.take(None), Err(RunError::Failed(_))));
        drop(held);
        assert!(pool.take(None).is_ok());
    }
}
