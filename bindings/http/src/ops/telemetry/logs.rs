//! Lines for people and machines on standard error.
//!
//! Only this program's own lines are written, and OpenTelemetry's about failed exports: other crates may log what they carry.
//! A reader who does not keep up costs lines, which are counted, and never time.

use crate::ops::metrics::Metrics;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use prometheus_client::metrics::counter::Counter;
use std::io::{self, Write};
use std::time::Duration;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

/// How many lines may wait to be written.
const QUEUE: usize = 8_192;

/// The form of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For people.
    Text,
}

/// Where lines go, on a thread of its own.
#[derive(Clone)]
pub struct LogWriter {
    lines: Sender<Message>,
    lost: Counter,
}

enum Message {
    Line(Vec<u8>),
    Flush(Sender<()>),
}

impl LogWriter {
    /// Writes to standard error, or wherever else.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn new(out: impl Write + Send + 'static, metrics: &Metrics) -> io::Result<Self> {
        let (lines, queue) = bounded(QUEUE);
        std::thread::Builder::new().name("log".into()).spawn(move || write(out, &queue))?;
        Ok(Self { lines, lost: metrics.log_lines_lost.clone() })
    }

    /// Waits until all lines so far are written, for at most a second.
    pub fn flush(&self) {
        let (done, written) = bounded(1);
        let limit = Duration::from_secs(1);
        if self.lines.send_timeout(Message::Flush(done), limit).is_ok() {
            let _ = written.recv_timeout(limit);
        }
    }

    /// A subscriber that writes lines of at least this level.
    pub fn subscriber(&self, format: LogFormat, level: LevelFilter) -> impl Subscriber + Send + Sync + use<> {
        let targets = Targets::new()
            .with_target("brightline", level)
            .with_target("opentelemetry", LevelFilter::WARN.min(level));
        Registry::default().with(layer(format, self.clone()).with_filter(targets))
    }

    /// Writes the lines of the whole process from now on.
    ///
    /// # Errors
    /// If something else does so already.
    pub fn install(
        &self,
        format: LogFormat,
        level: LevelFilter,
    ) -> Result<(), tracing::subscriber::SetGlobalDefaultError> {
        tracing::subscriber::set_global_default(self.subscriber(format, level))
    }
}

fn layer<S>(format: LogFormat, writer: LogWriter) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_target(false);
    match format {
        LogFormat::Json => {
            layer.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
        }
        LogFormat::Text => layer.with_ansi(false).boxed(),
    }
}

fn write(mut out: impl Write, queue: &Receiver<Message>) {
    for message in queue {
        // Nobody is left to tell where the log itself cannot be written.
        match message {
            Message::Line(line) => drop(out.write_all(&line)),
            Message::Flush(done) => {
                let _ = out.flush();
                let _ = done.send(());
            }
        }
    }
}

/// One line in the making.
pub struct Line<'a> {
    writer: &'a LogWriter,
    text: Vec<u8>,
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Line { writer: self, text: Vec::new() }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let line = Message::Line(std::mem::take(&mut self.text));
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.writer.lines.try_send(line) {
            self.writer.lost.inc();
        }
    }
}
