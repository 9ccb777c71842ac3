use std::fmt;

use crate::codec::Reader;
use crate::error::Result;
use crate::format::flink::primitive::Primitives;

/// `java.time.LocalDate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LocalDate {
    /// Year.
    pub year: i32,
    /// Month, from 1.
    pub month: u8,
    /// Day of the month, from 1.
    pub day: u8,
}

/// `java.time.LocalTime`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LocalTime {
    /// Hour.
    pub hour: u8,
    /// Minute.
    pub minute: u8,
    /// Second.
    pub second: u8,
    /// Nanoseconds of the second.
    pub nanos: u32,
}

/// Stands for null where a month, an hour or a minute would be.
const NULL_PART: u8 = 0x80;

impl fmt::Display for LocalDate {
    /// ISO 8601; a year of more than four digits has a sign.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LocalDate { year, month, day } = *self;
        match year {
            0..=9999 => write!(f, "{year:04}")?,
            -9999..=-1 => write!(f, "-{:04}", year.unsigned_abs())?,
            _ => write!(f, "{year:+}")?,
        }
        write!(f, "-{month:02}-{day:02}")
    }
}

impl fmt::Display for LocalTime {
    /// ISO 8601 with nine digits behind the second.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LocalTime { hour, minute, second, nanos } = *self;
        write!(f, "{hour:02}:{minute:02}:{second:02}.{nanos:09}")
    }
}

impl LocalDate {
    /// Reads a date or null.
    pub(super) fn read(input: &mut Reader<'_>) -> Result<Option<Self>> {
        let start = input.clone();
        let (year, month, day) = (input.i32("year")?, input.u8("month")?, input.u8("day")?);
        if (year, month, day) == (i32::MIN, NULL_PART, 0) {
            return Ok(None);
        }
        if (1..=12).contains(&month) && (1..=31).contains(&day) {
            return Ok(Some(LocalDate { year, month, day }));
        }
        Err(start.corrupt("date", format!("year {year}, month {month}, day {day} is no date")))
    }

    /// The date of a text that `Display` wrote; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        let (rest, day) = text.rsplit_once('-')?;
        let (year, month) = rest.rsplit_once('-')?;
        let date = LocalDate { year: year.parse().ok()?, month: month.parse().ok()?, day: day.parse().ok()? };
        (date.to_string() == text).then_some(date)
    }

    /// `LocalDate.hashCode()`.
    pub fn java_hash(self) -> i32 {
        let mixed = (self.year << 11).wrapping_add(i32::from(self.month) << 6).wrapping_add(i32::from(self.day));
        (self.year & !0x7FF) ^ mixed
    }
}

impl LocalTime {
    /// Reads a time of day or null.
    pub(super) fn read(input: &mut Reader<'_>) -> Result<Option<Self>> {
        let start = input.clone();
        let (hour, minute, second) = (input.u8("hour")?, input.u8("minute")?, input.u8("second")?);
        let nanos = input.i32("nanoseconds")?;
        if (hour, minute, second, nanos) == (NULL_PART, NULL_PART, 0, i32::MIN) {
            return Ok(None);
        }
        match u32::try_from(nanos) {
            Ok(nanos) if hour < 24 && minute < 60 && second < 60 && nanos < 1_000_000_000 => {
                Ok(Some(LocalTime { hour, minute, second, nanos }))
            }
            _ => {
                Err(start.corrupt("time of day", format!("{hour}:{minute}:{second} and {nanos} ns is no time of day")))
            }
        }
    }

    /// The time of day of a text that `Display` wrote; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        let (clock, nanos) = text.split_once('.')?;
        let mut parts = clock.split(':').map(|part| part.parse().ok());
        let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
        let time = LocalTime { hour, minute, second, nanos: nanos.parse().ok()? };
        (time.to_string() == text).then_some(time)
    }

    /// Nanoseconds since midnight.
    pub fn nano_of_day(self) -> i64 {
        let seconds = (i64::from(self.hour) * 60 + i64::from(self.minute)) * 60 + i64::from(self.second);
        seconds * 1_000_000_000 + i64::from(self.nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_parsed() {
        for year in [0, 1, 2024, 9999, 10_000, -1, -9999, -10_000, i32::MAX, i32::MIN] {
            let date = LocalDate { year, month: 2, day: 29 };
            assert_eq!(LocalDate::parse(&date.to_string()), Some(date));
        }
        let time = LocalTime { hour: 23, minute: 5, second: 59, nanos: 1_000_000 };
        assert_eq!(LocalTime::parse(&time.to_string()), Some(time));
        assert!(["", "1-2-3", "2024-02-03x", "-"].iter().all(|text| LocalDate::parse(text).is_none()));
        assert!(["", "1:2:3.4", "01:02:03", "01:02.1"].iter().all(|text| LocalTime::parse(text).is_none()));
    }
}
