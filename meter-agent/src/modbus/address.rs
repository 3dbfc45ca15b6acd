//! Where a device is, and how a connection to it is opened.

use std::fmt;
use std::path::PathBuf;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_modbus::client::{Context, rtu, tcp};
use tokio_modbus::slave::Slave;
use tokio_serial::{ClearBuffer, SerialPort as _, SerialPortBuilderExt as _, SerialStream};

use crate::modbus::line::QuietLine;
use crate::modbus::poll::PollError;
use crate::profile::{Parity, Profile, SerialLine};

/// An endpoint: whatever is behind it shares one connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// Modbus TCP.
    Tcp {
        /// Name or address of the host.
        host: String,
        /// The TCP port.
        port: u16,
    },
    /// The frames of a serial line through a transparent gateway.
    RtuOverTcp {
        /// Name or address of the gateway.
        host: String,
        /// The TCP port.
        port: u16,
        /// Whether the adapter repeats what is sent.
        strip_echo: bool,
    },
    /// A serial line.
    Serial {
        /// The device file.
        path: PathBuf,
        /// Its settings.
        line: SerialLine,
        /// Whether the adapter repeats what is sent.
        strip_echo: bool,
    },
}

impl Address {
    /// Modbus TCP.
    pub fn tcp(host: impl Into<String>, port: u16) -> Self {
        Self::Tcp { host: host.into(), port }
    }

    /// Whether frames carry neither a transaction nor a length, so that a late answer can be taken
    /// for another's.
    pub fn is_rtu(&self) -> bool {
        !matches!(self, Self::Tcp { .. })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::RtuOverTcp { host, port, .. } => write!(f, "{host}:{port} (RTU over TCP)"),
            Self::Serial { path, line, .. } => write!(f, "{} ({line})", path.display()),
        }
    }
}

impl fmt::Display for SerialLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parity = match self.parity {
            Parity::None => 'N',
            Parity::Even => 'E',
            Parity::Odd => 'O',
        };
        write!(f, "{} 8{parity}{}", self.baud, self.stop_bits)
    }
}

/// Opens a connection, and waits as long as the device wants to be left alone after it.
pub(super) async fn open(address: &Address, profile: &Profile) -> Result<Context, PollError> {
    let nobody = Slave(0);
    let context = match address {
        Address::Tcp { host, port } => {
            tcp::attach_slave(connect(host, *port, profile).await?, nobody)
        }
        Address::RtuOverTcp { host, port, strip_echo } => {
            let stream = connect(host, *port, profile).await?;
            rtu::attach_slave(QuietLine::new(stream, *strip_echo), nobody)
        }
        Address::Serial { path, line, strip_echo } => {
            let stream = open_serial(path, *line)?;
            rtu::attach_slave(QuietLine::new(stream, *strip_echo), nobody)
        }
    };
    sleep(profile.connect_delay).await;
    Ok(context)
}

async fn connect(host: &str, port: u16, profile: &Profile) -> Result<TcpStream, PollError> {
    let connected = timeout(profile.timeout, TcpStream::connect((host, port))).await;
    let stream = match connected {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(PollError::Connect(error.to_string())),
        Err(_) => {
            return Err(PollError::Connect(format!("no answer within {:?}", profile.timeout)));
        }
    };
    // Requests are single small segments; without this they would wait for acknowledgements.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "requests to the meter may be delayed");
    }
    Ok(stream)
}

fn open_serial(path: &std::path::Path, line: SerialLine) -> Result<SerialStream, PollError> {
    let failed =
        |error: &dyn fmt::Display| PollError::Connect(format!("{}: {error}", path.display()));
    let parity = match line.parity {
        Parity::None => tokio_serial::Parity::None,
        Parity::Even => tokio_serial::Parity::Even,
        Parity::Odd => tokio_serial::Parity::Odd,
    };
    let stop_bits = match line.stop_bits {
        2 => tokio_serial::StopBits::Two,
        _ => tokio_serial::StopBits::One,
    };
    let port = tokio_serial::new(path.to_string_lossy(), line.baud);
    let port = port.parity(parity).stop_bits(stop_bits);
    let stream = port.open_native_async().map_err(|error| failed(&error))?;
    stream.clear(ClearBuffer::Input).map_err(|error| failed(&error))?;
    Ok(stream)
}
