//! SIGHUP: read everything again.

use super::live::Live;
use std::sync::Arc;

/// Reloads these policies on every SIGHUP, until the runtime ends. Does nothing on systems without the signal.
///
/// # Errors
/// If the signal cannot be listened to.
pub fn reload_on_hangup(policies: Vec<Arc<Live>>) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut hangups = signal(SignalKind::hangup())?;
        tokio::spawn(async move {
            while hangups.recv().await.is_some() {
                policies.iter().for_each(|live| live.hang_up());
            }
        });
    }
    #[cfg(not(unix))]
    drop(policies);
    Ok(())
}
