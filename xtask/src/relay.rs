//! Passing bytes on between two connections, each over an address or a socket in a folder.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;

/// A connection of either kind.
pub enum Ends {
    /// Over an address.
    Tcp(TcpStream),
    /// Over a socket in a folder.
    Unix(UnixStream),
}

impl Ends {
    fn again(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(stream) => Self::Tcp(stream.try_clone()?),
            Self::Unix(stream) => Self::Unix(stream.try_clone()?),
        })
    }

    fn close(&self, how: Shutdown) {
        let _gone = match self {
            Self::Tcp(stream) => stream.shutdown(how),
            Self::Unix(stream) => stream.shutdown(how),
        };
    }
}

impl Read for Ends {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(bytes),
            Self::Unix(stream) => stream.read(bytes),
        }
    }
}

impl Write for Ends {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Passes on what either side says, until both have ended.
pub fn join(mut asking: Ends, mut asked: Ends) {
    let (Ok(mut answers), Ok(mut hears)) = (asked.again(), asking.again()) else { return };
    let back = std::thread::spawn(move || {
        let _ended = io::copy(&mut answers, &mut hears);
        // Who has heard the answer need not end first.
        hears.close(Shutdown::Both);
        answers.close(Shutdown::Both);
    });
    let _ended = io::copy(&mut asking, &mut asked);
    asked.close(Shutdown::Write);
    let _joined = back.join();
}
