//! The periods that rules count, as numbers: equal within a period, growing with time.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// What a rule counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// An hour of the clock on the wall; the one that comes twice in autumn counts twice.
    Hour,
    /// A day.
    Day,
    /// An ISO week, from Monday.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
}

impl Period {
    /// The rule's name.
    pub fn adjective(self) -> &'static str {
        match self {
            Self::Hour => "hourly",
            Self::Day => "daily",
            Self::Week => "weekly",
            Self::Month => "monthly",
            Self::Year => "yearly",
        }
    }

    /// The name of the period that `time` lies in.
    pub(super) fn label(self, time: Timestamp, zone: &TimeZone) -> String {
        let format = match self {
            Self::Hour => "%Y-%m-%d %H:00",
            Self::Day => "%Y-%m-%d",
            Self::Week => "%G-W%V",
            Self::Month => "%Y-%m",
            Self::Year => "%Y",
        };
        time.to_zoned(zone.clone()).strftime(format).to_string()
    }
}

/// The numbers of the periods that a time lies in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp([i64; 5]);

impl Stamp {
    pub(super) fn new(time: Timestamp, zone: &TimeZone) -> Self {
        let zoned = time.to_zoned(zone.clone());
        let week = zoned.date().iso_week_date();
        let year = i64::from(zoned.year());
        // The wall clock's hour, counted in hours since the epoch: in half-hour zones hours begin at
        // half past, and when the clock goes back the hour that comes again is another one.
        let past_the_hour = i64::from(zoned.minute()) * 60 + i64::from(zoned.second());
        Self([
            time.as_second() - past_the_hour,
            year * 400 + i64::from(zoned.day_of_year()),
            i64::from(week.year()) * 60 + i64::from(week.week()),
            year * 12 + i64::from(zoned.month()),
            year,
        ])
    }

    pub(super) fn number(&self, period: Period) -> i64 {
        self.0[period as usize]
    }
}
