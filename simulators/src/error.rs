//! What can go wrong when devices and households are simulated.

use std::io;

use market::time::Timestamp;

/// An error of the simulators, named as what went wrong, with the inputs that caused it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimulatorError {
    /// The latitude or longitude is not a place on Earth.
    #[error(
        "latitude {latitude_deg} and longitude {longitude_deg} are no place on Earth \
         (expected -90..=90 and -180..=180 degrees)"
    )]
    PlaceOutOfRange {
        /// Latitude in degrees, north positive.
        latitude_deg: f64,
        /// Longitude in degrees, east positive.
        longitude_deg: f64,
    },
    /// The IANA time zone is unknown.
    #[error("the time zone {name:?} is unknown (expected an IANA name such as \"Europe/Berlin\")")]
    UnknownTimeZone {
        /// The name as given.
        name: String,
    },
    /// The instant lies outside of the calendar.
    #[error("the instant {} ms after 1970 lies outside of the calendar", .at.as_millis())]
    OutsideCalendar {
        /// The instant that has no civil date.
        at: Timestamp,
    },
    /// A household was asked to live through more time at once than it can.
    #[error(
        "a household cannot advance from {} ms to {} ms after 1970 at once \
         (at most {limit_days} days)",
        .from.as_millis(), .to.as_millis()
    )]
    LeapTooLong {
        /// Where the household stands.
        from: Timestamp,
        /// Where it was asked to go.
        to: Timestamp,
        /// The longest leap, in days.
        limit_days: i64,
    },
    /// A neighbourhood needs at least one household and one feeder.
    #[error(
        "a neighbourhood needs at least one household and one feeder \
         (given: {households} and {feeders})"
    )]
    EmptyNeighbourhood {
        /// Households asked for.
        households: u32,
        /// Feeders asked for.
        feeders: u32,
    },
    /// The neighbourhood has no household of that number.
    #[error(
        "household {} does not exist: the neighbourhood has {households}, counted from 1",
        household.saturating_add(1)
    )]
    NoSuchHousehold {
        /// The number asked for, counted from 0 (people are told it counted from 1).
        household: u32,
        /// How many households there are.
        households: u32,
    },
    /// A battery's figures contradict each other.
    #[error("a battery cannot have {what}")]
    ImpossibleBattery {
        /// The impossible figure, in words.
        what: &'static str,
    },
    /// The listening socket of a simulated device failed.
    #[error("the listening socket of the simulated meter failed")]
    Listener(#[source] io::Error),
    /// A task of a simulated device ended abnormally.
    #[error("a task of the simulated meter ended abnormally")]
    Task(#[source] tokio::task::JoinError),
}
