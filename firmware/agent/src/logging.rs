//! Logs: to the journal with fields where systemd holds our stderr, else plain lines on stderr.

use log::{LevelFilter, Log, Metadata, Record};
use systemd_journal_logger::{JournalLog, connected_to_journal};

/// One line per record on stderr, its fields behind it.
struct Stderr;

impl Log for Stderr {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    #[expect(clippy::print_stderr, reason = "this is the logger")]
    fn log(&self, record: &Record<'_>) {
        struct Fields(String);
        impl<'kvs> log::kv::VisitSource<'kvs> for Fields {
            fn visit_pair(&mut self, key: log::kv::Key<'kvs>, value: log::kv::Value<'kvs>) -> Result<(), log::kv::Error> {
                self.0.push_str(&format!(" {key}={value}"));
                Ok(())
            }
        }
        let mut fields = Fields(String::new());
        let _ = record.key_values().visit(&mut fields);
        eprintln!("{}: {}{}", record.level().as_str().to_lowercase(), record.args(), fields.0);
    }

    fn flush(&self) {}
}

/// Lets our own records through from `ours` up, and those of libraries from warnings up, unless all are asked for.
struct Filter {
    ours: LevelFilter,
    inner: Box<dyn Log>,
}

impl Log for Filter {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let own = metadata.target().split("::").next() == Some(env!("CARGO_CRATE_NAME"));
        let least = if own || self.ours > LevelFilter::Info { self.ours } else { LevelFilter::Warn };
        metadata.level() <= least
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.inner.log(record);
        }
    }

    fn flush(&self) {
        self.inner.flush();
    }
}

/// Sets the logger. `CLOUDY_LOG` may be `warn`, `info` (as it is without), `debug` or `trace`; the last two let libraries speak
/// too: those that speak through `tracing` in a release from `info` up, since no more of them is in it.
pub fn start() {
    let ours = match std::env::var("CLOUDY_LOG").as_deref() {
        Ok("trace") => LevelFilter::Trace,
        Ok("debug") => LevelFilter::Debug,
        Ok("warn") => LevelFilter::Warn,
        _ => LevelFilter::Info,
    };
    let journal = if connected_to_journal() { JournalLog::new().ok() } else { None };
    let inner: Box<dyn Log> = match journal {
        Some(journal) => Box::new(journal.with_syslog_identifier("cloudy".to_owned())),
        None => Box::new(Stderr),
    };
    // Only a second start could fail, and there is none.
    let _ = log::set_boxed_logger(Box::new(Filter { ours, inner }));
    log::set_max_level(ours);
}
