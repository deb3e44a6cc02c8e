//! A broker that is played: it does nothing, says that all went well, and keeps what it was asked.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Its socket, in an agent's data folder.
pub const SOCKET: &str = "played-broker.sock";

/// What it was asked beside how apps are: the requests' names.
pub type Asked = Arc<Mutex<Vec<String>>>;

/// Plays one for the one app `app`, until the test ends.
pub fn play(data: &Path, app: &'static str) -> Asked {
    let listener = UnixListener::bind(data.join(SOCKET)).unwrap();
    let asked = Asked::default();
    let kept = Arc::clone(&asked);
    std::thread::spawn(move || {
        let mut state = "absent";
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut line = String::new();
            if BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).is_err() {
                continue;
            }
            let Ok(request) = serde_json::from_str::<Value>(&line) else { continue };
            let word = request["request"].as_str().unwrap_or_default().to_owned();
            state = match word.as_str() {
                "up" | "restart" => "running",
                "stop" => "stopped",
                "down" => "absent",
                _ => state,
            };
            let done = match word.as_str() {
                "projects" if state != "absent" => json!({ app: { "run": state, "data": true } }),
                "projects" => json!({}),
                "status" => json!({ "state": "running", "version": "26", "containers-running": 0, "containers": 0, "images": 0 }),
                "logs" => json!(""),
                "since" => json!({ "lines": [], "missed": false, "heard": {} }),
                "uses" => json!({}),
                "has-image" => json!(false),
                _ => Value::Null,
            };
            if !matches!(word.as_str(), "projects" | "status" | "logs" | "since" | "uses" | "has-image") {
                kept.lock().unwrap().push(word);
            }
            let _gone = stream.write_all(format!("{}\n", json!({ "done": done })).as_bytes());
        }
    });
    asked
}
