//! How a program ended, here or on a host, and the last lines of its standard error.

use crate::host::limit::{self, NOISE};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::sync::watch;

/// The number of last lines kept of a program that fails.
const LINES: usize = 20;
/// How long to wait for the remaining output of a program that has ended.
const TIMEOUT: Duration = Duration::from_millis(100);

/// How a program ended. Without a code: by a signal, or the connection was lost.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    pub(super) lines: Vec<String>,
}

impl Ended {
    /// `exit 1`, or what is known without a code.
    pub(super) fn status(&self) -> String {
        self.code.map_or("a signal, or the connection was lost".into(), |code| format!("exit {code}"))
    }

    /// All its last lines.
    pub(super) fn text(&self) -> String {
        self.lines.join("\n")
    }
}

/// The last lines of a program's standard error, gathered while it runs.
#[derive(Clone, Default)]
pub(super) struct Stderr {
    lines: Arc<Mutex<VecDeque<String>>>,
    /// Closed when the stream has ended.
    gathering: Option<watch::Receiver<()>>,
}

impl Stderr {
    /// Gathers in the background until the stream ends.
    pub(super) fn of(stream: impl AsyncRead + Send + Unpin + 'static) -> Stderr {
        let (open, gathering) = watch::channel(());
        let keep = Stderr::default();
        let said = Stderr { gathering: Some(gathering), ..keep.clone() };
        tokio::spawn(async move {
            let _open = open;
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while matches!((&mut stream).take(NOISE).read_until(b'\n', &mut line).await, Ok(1..)) {
                keep.push(limit::text(String::from_utf8_lossy(&line).trim_end()));
                line.clear();
            }
        });
        said
    }

    pub(super) fn push(&self, line: String) {
        if let Ok(mut lines) = self.lines.lock() {
            if lines.len() == LINES {
                lines.pop_front();
            }
            lines.push_back(line);
        }
    }

    /// The output so far, after a short wait for the rest: a program in the background may keep the stream open.
    pub(super) async fn lines(&self) -> Vec<String> {
        if let Some(mut gathering) = self.gathering.clone() {
            let _ = tokio::time::timeout(TIMEOUT, gathering.changed()).await;
        }
        self.lines.lock().map(|lines| lines.iter().cloned().collect()).unwrap_or_default()
    }
}
