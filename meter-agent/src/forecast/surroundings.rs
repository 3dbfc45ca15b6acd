//! Where and when a household lives: local time, the sun above it, the weather to come.

use jiff::tz::TimeZone;
use market::time::{DeliveryPeriod, Timestamp};

use crate::forecast::sun;
use crate::forecast::weather::{Outlook, Weather};

/// A place on Earth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Degrees, north positive, -90..=90.
    pub latitude_deg: f64,
    /// Degrees, east positive, -180..=180.
    pub longitude_deg: f64,
}

/// What a forecast may look at besides the household's own history.
#[derive(Debug, Clone)]
pub struct Surroundings {
    zone: TimeZone,
    place: Option<Place>,
    weather: Weather,
}

/// The local time at which a period begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LocalTime {
    /// Minutes since midnight.
    pub(super) minute: i64,
    /// How long the period is.
    pub(super) length_minutes: i64,
    /// Saturday or Sunday.
    pub(super) weekend: bool,
}

impl LocalTime {
    /// The hour of the day, 0 to 23.
    pub(super) fn hour(self) -> usize {
        usize::try_from(self.minute / 60).unwrap_or_default()
    }
}

impl Surroundings {
    /// A household in an IANA time zone, at a place if it is known. A zone that is not known is
    /// taken for UTC.
    pub fn new(zone_name: &str, place: Option<Place>) -> Self {
        let zone = TimeZone::get(zone_name).unwrap_or(TimeZone::UTC);
        Self { zone, place, weather: Weather::default() }
    }

    /// The same with a weather forecast.
    #[must_use]
    pub fn with_weather(self, weather: Weather) -> Self {
        Self { weather, ..self }
    }

    pub(super) fn local(&self, period: DeliveryPeriod) -> LocalTime {
        let start = jiff::Timestamp::from_millisecond(period.start().as_millis());
        let zoned = start.unwrap_or_default().to_zoned(self.zone.clone());
        let weekend = zoned.weekday().to_monday_one_offset() >= 6;
        let minute = i64::from(zoned.hour()) * 60 + i64::from(zoned.minute());
        LocalTime { minute, length_minutes: period.length().minutes(), weekend }
    }

    /// Light on level ground under a clear sky in the middle of a period, in W/m²; 0 where the
    /// place is not known.
    pub(super) fn clear_sky(&self, period: DeliveryPeriod) -> f64 {
        self.place.map_or(0.0, |place| sun::clear_sky_w_m2(place, middle(period)))
    }

    /// Light on level ground that the weather file promises for a period, in W/m².
    pub(super) fn light(&self, period: DeliveryPeriod) -> Option<f64> {
        let place = self.place;
        match self.weather.at(middle(period))? {
            Outlook::Irradiance { w_m2 } => Some(w_m2),
            Outlook::CloudCover { share } => {
                Some(sun::clear_sky_w_m2(place?, middle(period)) * sun::through_clouds(share))
            }
        }
    }
}

fn middle(period: DeliveryPeriod) -> Timestamp {
    period.start().plus_millis(period.length().as_millis() / 2)
}
