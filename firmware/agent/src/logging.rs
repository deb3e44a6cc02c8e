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

/// Sets the logger. Libraries speak from warnings up; `CLOUDY_LOG=debug` lets all speak.
pub fn start() {
    let level = match std::env::var("CLOUDY_LOG").as_deref() {
        Ok("debug") => LevelFilter::Debug,
        Ok("trace") => LevelFilter::Trace,
        Ok("warn") => LevelFilter::Warn,
        _ => LevelFilter::Info,
    };
    let journal = connected_to_journal()
        && JournalLog::new().and_then(|log| log.with_syslog_identifier("cloudy".to_owned()).install().map_err(std::io::Error::other)).is_ok();
    if !journal {
        let _ = log::set_logger(&Stderr);
    }
    log::set_max_level(level);
}
