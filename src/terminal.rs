//! Talking to whoever sits at the terminal: questions, confirmations, and secrets without echo.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Read as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use rustix::termios::{tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// The controlling terminal, whatever standard input and output are.
const TERMINAL: &str = "/dev/tty";

/// The bytes that end or change a hidden line.
const END_OF_INPUT: u8 = 4;
const INTERRUPT: u8 = 3;
const KILL_LINE: u8 = 21;

/// Somebody who can be asked.
#[derive(Debug)]
pub(crate) struct Terminal {
    read: BufReader<File>,
    write: File,
}

impl Terminal {
    /// The terminal of this process; `None` if it has none, or nobody sits there.
    pub(crate) fn open() -> Option<Self> {
        let write = File::options().read(true).write(true).open(TERMINAL).ok()?;
        let read = BufReader::new(write.try_clone().ok()?);
        (write.is_terminal() && io::stderr().is_terminal()).then_some(Self { read, write })
    }

    /// Asks and gives the answer without white space at its ends; `default` if it is empty.
    ///
    /// # Errors
    /// The system's words, or that the input ended.
    pub(crate) fn ask(&mut self, question: &str, default: Option<&str>) -> io::Result<String> {
        match default {
            Some(default) => write!(self.write, "{question} [{default}]: ")?,
            None => write!(self.write, "{question}: ")?,
        }
        self.write.flush()?;
        let mut line = String::new();
        if self.read.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let answer = line.trim();
        Ok(if answer.is_empty() { default.unwrap_or_default() } else { answer }.to_owned())
    }

    /// Asks until the answer can be read.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub(crate) fn ask_for<T, E: std::fmt::Display>(
        &mut self,
        question: &str,
        default: Option<&str>,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> io::Result<T> {
        loop {
            match read(&self.ask(question, default)?) {
                Ok(answer) => return Ok(answer),
                Err(problem) => writeln!(self.write, "  {problem}")?,
            }
        }
    }

    /// Tells something.
    ///
    /// # Errors
    /// The system's words.
    pub(crate) fn say(&mut self, words: &str) -> io::Result<()> {
        writeln!(self.write, "{words}")
    }

    /// Asks a question whose answer is yes or no; only a written yes is one.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub(crate) fn confirm(&mut self, question: &str) -> io::Result<bool> {
        let answer = self.ask(&format!("{question} (yes/no)"), None)?;
        Ok(matches!(answer.to_lowercase().as_str(), "yes" | "y"))
    }

    /// Asks for a secret, which does not appear on the terminal.
    ///
    /// # Errors
    /// As [`Self::ask`]; Ctrl-C is [`io::ErrorKind::Interrupted`].
    pub(crate) fn ask_secret(&mut self, question: &str) -> io::Result<Zeroizing<String>> {
        write!(self.write, "{question}: ")?;
        self.write.flush()?;
        let secret = {
            let _silent = Silent::begin(&self.write)?;
            hidden_line(&mut self.read)
        };
        writeln!(self.write)?;
        secret
    }
}

/// The terminal without echo, line editing and signals, until this is dropped.
struct Silent<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Silent<'a> {
    fn begin(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}

/// Reads a line byte by byte, with the little editing that people do blindly.
fn hidden_line(input: &mut impl io::BufRead) -> io::Result<Zeroizing<String>> {
    // Room enough that it does not grow, which would leave copies behind.
    let mut line = Zeroizing::new(Vec::with_capacity(1024));
    for byte in input.bytes() {
        match byte? {
            b'\n' | b'\r' => break,
            END_OF_INPUT if line.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            END_OF_INPUT => break,
            INTERRUPT => return Err(io::ErrorKind::Interrupted.into()),
            KILL_LINE => line.clear(),
            8 | 127 => {
                // A whole character of UTF-8.
                while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            }
            byte => line.push(byte),
        }
    }
    let text = std::str::from_utf8(&line).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hidden_line_can_be_corrected_and_given_up() {
        let read = |bytes: &[u8]| hidden_line(&mut &*bytes).map(|line| line.as_str().to_owned());
        assert_eq!(read(b"open\n").unwrap(), "open");
        assert_eq!(read("opé\u{7f}en\r".as_bytes()).unwrap(), "open");
        assert_eq!(read(b"wrong\x15right\nmore").unwrap(), "right");
        assert_eq!(read(b"\x7f\x7fa").unwrap(), "a");
        assert_eq!(read(b"ab\x03").unwrap_err().kind(), io::ErrorKind::Interrupted);
        assert_eq!(read(b"\x04").unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(read(b"\xff\n").unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
