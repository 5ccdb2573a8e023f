//! Settings from TOML. Each key is a field of `Config`; errors name the line and suggest the key that was probably
//! meant. This file knows how values are written; `check` knows which values can work.

use super::settings::every_setting;
use super::{Config, ConfigError, ForwardedHeader, Hosts, Network, Origins, SlowConsumer};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A settings file has a few KiB; a larger one is a mistake, and is not read.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// How much of a key or text an error quotes.
const QUOTED_CHARS_MAX: usize = 60;
/// Keys that are less similar than this are not suggested.
const LIKENESS_MIN: f64 = 0.8;
/// Names of settings in other servers; the last column says what to use here.
const ELSEWHERE: &str = include_str!("elsewhere.md");

impl Config {
    /// With the feature `toml`: reads settings from TOML. Settings that it does not name have their defaults.
    ///
    /// Each key is a field's name. A duration is a number of seconds, or a text with a unit: `"250 ms"`, `"25 s"`, `"5
    /// min"`, `"1 h"`. A size (a field with `bytes` or `watermark` in its name) is a number of bytes, or a text such as
    /// `"64 KiB"`, `"2 MiB"`, `"1 GB"`. For a field that can be `None`, `false` means `None`.
    /// [`examples/swio.toml`](https://docs.rs/crate/swio/latest/source/examples/swio.toml) has all settings.
    ///
    /// # Errors
    /// If the text is not TOML, a key is unknown, or a value has the wrong type or can't work. The error names the line
    /// and the key, and the key that was probably meant.
    ///
    /// ```
    /// use std::time::Duration;
    /// use swio::Config;
    ///
    /// let config = Config::from_toml("message_bytes_max = '64 KiB'\nping_interval = 25")?;
    /// assert_eq!(config.message_bytes_max, 65_536);
    /// assert_eq!(config.ping_interval, Some(Duration::from_secs(25)));
    ///
    /// let error = Config::from_toml("\nmax_message_bytes = 1000").expect_err("no such key");
    /// assert_eq!(error.to_string(), "line 2: max_message_bytes is not known: is it message_bytes_max?");
    /// # Ok::<(), swio::ConfigError>(())
    /// ```
    ///
    /// For the names of settings in other servers, the error says what to use here:
    ///
    #[doc = include_str!("elsewhere.md")]
    pub fn from_toml(text: &str) -> Result<Config, ConfigError> {
        Config::default().with_toml(text)
    }

    /// This configuration, changed by what the text sets.
    fn with_toml(mut self, text: &str) -> Result<Config, ConfigError> {
        let line =
            |at: usize| 1 + text.as_bytes()[..at.min(text.len())].iter().filter(|&&b| b == b'\n').count();
        let table = DeTable::parse(text).map_err(|error| {
            let wrong = ConfigError::new("", format!("no TOML: {}", error.message()));
            error.span().map(|span| wrong.clone().at(line(span.start))).unwrap_or(wrong)
        })?;
        let mut entries: Vec<_> = table.get_ref().iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in &entries {
            let set = self.set(key.get_ref(), value.get_ref());
            set.map_err(|what| ConfigError::new(quoted(key.get_ref()), what).at(line(key.span().start)))?;
        }
        self.check().map_err(|error| {
            let key = entries.iter().find(|(key, _)| **key.get_ref() == *error.key());
            key.map(|(key, _)| error.clone().at(line(key.span().start))).unwrap_or(error)
        })?;
        Ok(self)
    }
}

/// Where settings are read from, at start and at each reload.
#[derive(Clone, Debug)]
pub(crate) struct SettingsFile {
    pub(crate) path: PathBuf,
    /// What the program itself set. The file overrides it.
    pub(crate) base: Config,
}

impl SettingsFile {
    pub(crate) fn read(&self) -> Result<Config, ConfigError> {
        let text = read(&self.path).map_err(|error| ConfigError::new("", error))?;
        self.base.clone().with_toml(&text).map_err(|error| error.of(self.path.display().to_string()))
    }
}

fn read(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text));
    read.map_err(|error| format!("can't read the settings in {}: {error}", path.display()))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("{} is no file of settings: it has more than 1 MiB", path.display()));
    }
    Ok(text)
}

macro_rules! define_keys {
    ($($key:ident $life:ident,)*) => {
        const KEYS: &[&str] = &[$(stringify!($key)),*];

        impl Config {
            fn set(&mut self, key: &str, value: &DeValue<'_>) -> Result<(), String> {
                match key {
                    $(stringify!($key) => self.$key = Setting::read(Value { key, value })?,)*
                    _ => return Err(unknown(key, value)),
                }
                Ok(())
            }
        }
    };
}
every_setting!(define_keys);

/// What the error says about an unknown key.
fn unknown(key: &str, value: &DeValue<'_>) -> String {
    if let Some((of, here)) = elsewhere(key) {
        return match here.strip_prefix("nothing") {
            Some(why) => format!("is a setting of {of}; there is none here{why}"),
            None => format!("is a setting of {of}; here it is {here}"),
        };
    }
    let sorted = |key: &str| {
        let mut words: Vec<_> = key.split(['_', '-']).collect();
        words.sort_unstable();
        words.join("_").to_lowercase()
    };
    // Comparing costs time by length, and a key can have any length.
    let like = |known: &&&str| {
        if key.len() > QUOTED_CHARS_MAX { 0.0 } else { strsim::jaro(&sorted(key), &sorted(known)) }
    };
    match KEYS.iter().max_by(|a, b| like(a).total_cmp(&like(b))) {
        Some(known) if like(&known) >= LIKENESS_MIN => format!("is not known: is it {known}?"),
        _ if matches!(value, DeValue::Table(_)) => "is not known: settings are in no table".into(),
        _ => "is not known".into(),
    }
}

/// Which server has this setting, and what to use here.
fn elsewhere(key: &str) -> Option<(&'static str, String)> {
    ELSEWHERE.lines().skip(2).find_map(|row| {
        let mut cells = row.trim_matches('|').split('|').map(str::trim);
        let is_it = cells.next()?.split(", ").any(|name| name.trim_matches('`') == key);
        is_it.then_some((cells.next()?, cells.next()?.replace('`', "")))
    })
}

/// A value and its key.
#[derive(Clone, Copy)]
struct Value<'a> {
    key: &'a str,
    value: &'a DeValue<'a>,
}

impl Value<'_> {
    fn wrong(self, expected: &str) -> String {
        let found = match self.value {
            DeValue::String(text) => format!("{:?}", quoted(text)),
            DeValue::Integer(number) => quoted(&number.to_string()),
            DeValue::Float(number) => quoted(number.as_str()),
            DeValue::Boolean(value) => value.to_string(),
            DeValue::Datetime(_) => "a date or time".into(),
            DeValue::Array(_) => "a list".into(),
            DeValue::Table(_) => "a table".into(),
        };
        format!("must be {expected}, and is {found}")
    }
}

/// The first characters of a text that may be long, or have characters that a terminal would obey.
fn quoted(text: &str) -> String {
    let mut short: String =
        text.chars().take(QUOTED_CHARS_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if short.len() < text.len() && text.chars().nth(QUOTED_CHARS_MAX).is_some() {
        short.push('…');
    }
    short
}

/// How a field's value is written in TOML.
trait Setting: Sized {
    fn read(value: Value<'_>) -> Result<Self, String>;
}

fn number(value: Value<'_>, max: u64) -> Result<u64, String> {
    let is_size = value.key.contains("bytes") || value.key.ends_with("watermark");
    let expected = if is_size { "a number of bytes or a size such as \"64 KiB\"" } else { "a whole number" };
    let found = match value.value {
        DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
        DeValue::String(text) if is_size => size(text),
        _ => None,
    };
    let found = found.ok_or_else(|| value.wrong(expected))?;
    if found > max { Err(value.wrong(&format!("at most {max}"))) } else { Ok(found) }
}

macro_rules! numbers {
    ($($type:ty),*) => {
        $(impl Setting for $type {
            fn read(value: Value<'_>) -> Result<$type, String> {
                let number = number(value, <$type>::MAX as u64)?;
                Ok(number as $type)
            }
        })*
    };
}
numbers!(u16, u32, u64, usize);

/// A number followed by a unit.
fn with_unit(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    Some((&text[..end], text[end..].trim_start()))
}

fn size(text: &str) -> Option<u64> {
    let (number, unit) = with_unit(text.trim())?;
    let unit = match &*unit.to_ascii_lowercase() {
        "b" => 1,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

impl Setting for Duration {
    fn read(value: Value<'_>) -> Result<Duration, String> {
        let seconds = match value.value {
            DeValue::Integer(number) => {
                u64::from_str_radix(number.as_str(), number.radix()).ok().map(|seconds| seconds as f64)
            }
            DeValue::Float(number) => number.as_str().parse().ok(),
            DeValue::String(text) => seconds(text),
            _ => None,
        };
        let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        duration
            .ok_or_else(|| value.wrong("a number of seconds or a duration such as \"25 s\" or \"500 ms\""))
    }
}

fn seconds(text: &str) -> Option<f64> {
    let (number, unit) = with_unit(text.trim())?;
    let unit = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * unit)
}

impl Setting for bool {
    fn read(value: Value<'_>) -> Result<bool, String> {
        match value.value {
            DeValue::Boolean(is_on) => Ok(*is_on),
            _ => Err(value.wrong("true or false")),
        }
    }
}

impl Setting for String {
    fn read(value: Value<'_>) -> Result<String, String> {
        match value.value {
            DeValue::String(text) => Ok(text.to_string()),
            _ => Err(value.wrong("a text")),
        }
    }
}

impl<T: Setting> Setting for Option<T> {
    fn read(value: Value<'_>) -> Result<Option<T>, String> {
        match value.value {
            DeValue::Boolean(false) => Ok(None),
            _ => T::read(value).map(Some).map_err(|wrong| wrong.replacen("must be", "must be false or", 1)),
        }
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn read(value: Value<'_>) -> Result<Vec<T>, String> {
        let DeValue::Array(list) = value.value else { return Err(value.wrong("a list, [\"…\", \"…\"]")) };
        let element = |value: &Spanned<DeValue<'_>>| {
            // Shortens the list's lifetime to the element's.
            T::read(Value { key: "", value: value.get_ref() })
        };
        list.iter()
            .map(element)
            .collect::<Result<_, _>>()
            .map_err(|wrong| format!("has a wrong element: {wrong}"))
    }
}

impl Setting for Origins {
    fn read(value: Value<'_>) -> Result<Origins, String> {
        match value.value {
            DeValue::String(text) if text == "same" => Ok(Origins::Same),
            DeValue::String(text) if text == "any" => Ok(Origins::Any),
            DeValue::Array(_) => Setting::read(value).map(Origins::List),
            _ => Err(value.wrong("\"same\", \"any\" or a list of origins")),
        }
    }
}

impl Setting for Hosts {
    fn read(value: Value<'_>) -> Result<Hosts, String> {
        match value.value {
            DeValue::String(text) if text == "auto" => Ok(Hosts::Auto),
            DeValue::String(text) if text == "any" => Ok(Hosts::Any),
            DeValue::Array(_) => Setting::read(value).map(Hosts::List),
            _ => Err(value.wrong("\"auto\", \"any\" or a list of hosts")),
        }
    }
}

impl Setting for Network {
    fn read(value: Value<'_>) -> Result<Network, String> {
        match value.value {
            DeValue::String(text) => {
                text.parse().map_err(|_| value.wrong("a network such as \"10.0.0.0/8\""))
            }
            _ => Err(value.wrong("a network such as \"10.0.0.0/8\"")),
        }
    }
}

impl Setting for ForwardedHeader {
    fn read(value: Value<'_>) -> Result<ForwardedHeader, String> {
        match value.value {
            DeValue::String(text) if text.eq_ignore_ascii_case("x-forwarded-for") => {
                Ok(ForwardedHeader::XForwardedFor)
            }
            DeValue::String(text) if text.eq_ignore_ascii_case("forwarded") => Ok(ForwardedHeader::Forwarded),
            _ => Err(value.wrong("\"X-Forwarded-For\" or \"Forwarded\"")),
        }
    }
}

impl Setting for SlowConsumer {
    fn read(value: Value<'_>) -> Result<SlowConsumer, String> {
        match value.value {
            DeValue::String(text) if text == "close" => Ok(SlowConsumer::Close),
            DeValue::String(text) if text == "drop_newest" => Ok(SlowConsumer::DropNewest),
            DeValue::String(text) if text == "drop_oldest" => Ok(SlowConsumer::DropOldest),
            _ => Err(value.wrong("\"close\", \"drop_newest\" or \"drop_oldest\"")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        Config::from_toml(text).expect_err(text).to_string()
    }

    #[test]
    fn the_example_has_every_setting_with_its_default() {
        let text = include_str!("../../examples/swio.toml");
        let table = DeTable::parse(text).expect("TOML");
        let missing = KEYS.iter().filter(|key| !table.get_ref().contains_key(**key));
        assert_eq!(missing.collect::<Vec<_>>(), <[&&str; 0]>::default());
        for key in KEYS {
            let value = &table.get_ref()[*key];
            let mut config = Config::default();
            config.set(key, value.get_ref()).expect(key);
            assert_eq!(config, Config::default(), "{key}");
        }
        assert_eq!(Config::from_toml(text), Ok(Config::default()));
    }

    #[test]
    fn what_is_named_elsewhere_is_here() {
        for row in ELSEWHERE.lines().skip(2) {
            let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
            let [names, of, here] = cells[..] else { panic!("{row}") };
            assert!(!of.is_empty(), "{row}");
            let is_ours = |name: &str| KEYS.contains(&name);
            for name in names.split(", ") {
                let bare = name.trim_matches('`');
                assert_eq!(name, format!("`{bare}`"), "{row}");
                assert!(!is_ours(bare) || here == name, "{row}: it would never be looked up");
            }
            let code = here.split('`').skip(1).step_by(2);
            let is_elsewhere = |named: &&str| named.contains("::") || ["log", "taskset"].contains(named);
            for named in code.clone().filter(|named| !is_elsewhere(named)) {
                assert!(is_ours(named), "{row}: there is no setting {named}");
            }
            assert!(here.starts_with("nothing") || code.count() > 0, "{row}: what is it here?");
        }
        assert_eq!(
            wrong("# a comment\n\nsocket_buffer_size = 7"),
            "line 3: socket_buffer_size is a setting of Swoole; here it is outbox_bytes_max, bytes"
        );
        assert_eq!(
            wrong("ssl_key_file = 'key.pem'"),
            "line 1: ssl_key_file is a setting of Swoole; there is none here yet: a proxy in front ends TLS"
        );
    }

    #[test]
    fn each_setting_of_the_page_is_answered() {
        let page = include_str!("../../docs/SWOOLE.md");
        let (_, settings) = page.split_once("\n## Settings\n").expect("the settings");
        let (settings, _) = settings.split_once("\n## ").expect("more after them");
        let names = settings.lines().filter_map(|row| row.strip_prefix("| `")?.split_once(" | "));
        let names = names.flat_map(|(names, _)| names.split(", ")).map(|name| name.trim_matches('`'));
        assert!(names.clone().count() > 100, "hardly all");
        let silent: Vec<_> = names.filter(|name| !KEYS.contains(name) && elsewhere(name).is_none()).collect();
        assert!(silent.is_empty(), "{silent:?}");
    }

    #[test]
    fn values_are_written_with_or_without_units() {
        let read = |text: &str| Config::from_toml(text).expect(text);
        for size in ["65536", "0x1_0000", "'64 KiB'", "'64kib'", "'65536 B'", "' 64 KiB '"] {
            assert_eq!(read(&format!("message_bytes_max = {size}")).message_bytes_max, 65_536, "{size}");
        }
        assert_eq!(read("outboxes_bytes_max = '3 GB'").outboxes_bytes_max, 3_000_000_000);
        for time in ["90", "90.0", "'90 s'", "'90s'", "'1.5 min'", "'0.025 h'", "'90000 ms'"] {
            let config = read(&format!("keep_alive_timeout = {time}"));
            assert_eq!(config.keep_alive_timeout, Duration::from_secs(90), "{time}");
        }
        assert_eq!(read("pong_timeout = '20 ms'").pong_timeout, Duration::from_millis(20));
        assert_eq!(read("ping_interval = false").ping_interval, None);
        assert_eq!(read("ping_interval = '1 d'").ping_interval, Some(Duration::from_secs(86_400)));
        assert_eq!(read("connections_max = 10_000").connections_max, Some(10_000));
        assert_eq!(read("origins = 'any'\nslow_consumer = 'drop_newest'").origins, Origins::Any);
        let config = read("origins = ['https://a.example']\nsubprotocols = ['chat', 'v2.chat']");
        assert_eq!(config.origins, Origins::List(vec!["https://a.example".into()]));
        assert_eq!(config.subprotocols, ["chat", "v2.chat"]);
        assert_eq!(read("hosts = 'any'").hosts, Hosts::Any);
        assert_eq!(read("hosts = ['*.a.example']").hosts, Hosts::List(vec!["*.a.example".into()]));
    }

    #[test]
    fn what_is_wrong_is_told_with_line_and_key() {
        for (text, error) in [
            ("\n\nbaklog = 3", "line 3: baklog is not known: is it backlog?"),
            ("max_head_bytes = 3", "line 1: max_head_bytes is not known: is it head_bytes_max?"),
            ("ping-interval = 3", "line 1: ping-interval is not known: is it ping_interval?"),
            ("cheese = 3", "line 1: cheese is not known"),
            ("\n[server]\nbacklog = 3", "line 2: server is not known: settings are in no table"),
            ("backlog = '3'", "line 1: backlog must be a whole number, and is \"3\""),
            ("backlog = -3", "line 1: backlog must be a whole number, and is -3"),
            ("backlog = 3.5", "line 1: backlog must be a whole number, and is 3.5"),
            ("backlog = 5_000_000_000", "line 1: backlog must be at most 4294967295, and is 5000000000"),
            ("backlog = 1979-05-27", "line 1: backlog must be a whole number, and is a date or time"),
            (
                "connections_max = true",
                "line 1: connections_max must be false or a whole number, and is true",
            ),
            (
                "origins = 'all'",
                "line 1: origins must be \"same\", \"any\" or a list of origins, and is \"all\"",
            ),
            ("hosts = 'own'", "line 1: hosts must be \"auto\", \"any\" or a list of hosts, and is \"own\""),
            ("subprotocols = 'chat'", "line 1: subprotocols must be a list, [\"…\", \"…\"], and is \"chat\""),
            ("subprotocols = [3]", "line 1: subprotocols has a wrong element: must be a text, and is 3"),
            (
                "slow_consumer = {}",
                "line 1: slow_consumer must be \"close\", \"drop_newest\" or \"drop_oldest\", and is a table",
            ),
            // It is of the right kind, but can't work.
            (
                "origins = ['https://*']",
                "line 1: origins has \"https://*\", whose wildcard does not stand for subdomains: write *.example.com",
            ),
            ("hosts = ['a:80']", "line 1: hosts has \"a:80\", which has a port: write the name alone"),
            ("\nbacklog = 0", "line 2: backlog must be at least 1"),
            ("\nping_interval = 0", "line 2: ping_interval must be at least 1 ms"),
            ("outbox_bytes_max = '2 GiB'", "outboxes_bytes_max must be at least outbox_bytes_max"),
        ] {
            assert_eq!(wrong(text), error, "{text}");
        }
        for size in ["'64 K'", "'64'", "'KiB'", "'1.5 MiB'", "'99999999999 GiB'", "true", "-1"] {
            let error = wrong(&format!("head_bytes_max = {size}"));
            assert!(error.contains("must be a number of bytes or a size such as \"64 KiB\""), "{error}");
        }
        for time in ["'25'", "'25 m'", "'s'", "'-1 s'", "-1", "nan", "inf", "-0.5", "'1.2.3 s'", "[]"] {
            let error = wrong(&format!("close_timeout = {time}"));
            assert!(error.contains("must be a number of seconds or a duration such as \"25 s\""), "{error}");
        }
        for text in ["backlog", "backlog = ", "= 3", "backlog = 3\nbacklog = 4", "\0", "backlog = 'x"] {
            assert!(wrong(text).contains("no TOML: "), "{}", wrong(text));
        }
    }

    #[test]
    fn what_is_quoted_is_short_and_harmless() {
        let error = wrong(&format!("'{}' = 3", "x\u{1F600}".repeat(50_000)));
        assert!(error.len() < 400, "{error}");
        let error = wrong("slow_consumer = \"\\u001b[31m\\n\"");
        assert!(!error.contains(char::is_control), "{error:?}");
        let error = wrong(&format!("slow_consumer = '{}'", "x".repeat(100_000)));
        assert!(error.len() < 200, "{error}");
    }

    /// Whatever is read, it is an answer and not a panic; and what is taken can work.
    #[test]
    fn no_text_harms() {
        let text = include_str!("../../examples/swio.toml");
        let plain: String =
            text.lines().filter(|line| !line.starts_with('#')).map(|l| format!("{l}\n")).collect();
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        let pieces =
            ["\"", "'", "=", "[", "]", "{", "}", "\n", "-", "9999999999999999999999", "1e400", ".", "é", "#"];
        let (mut taken, mut refused) = (0, 0);
        for _ in 0..3_000 {
            let mut bytes = plain.clone().into_bytes();
            for _ in 0..=random(2) {
                let at = random(bytes.len());
                match random(4) {
                    0 => drop(bytes.remove(at)),
                    1 => bytes[at] = b" aE9_\"\0\x7f"[random(8)],
                    2 => drop(bytes.splice(at..at, pieces[random(pieces.len())].bytes())),
                    _ => {
                        let end = (at + random(60)).min(bytes.len());
                        bytes.copy_within(at..end, 0);
                    }
                }
            }
            match Config::from_toml(&String::from_utf8_lossy(&bytes)) {
                Ok(config) => {
                    config.check().expect("it was checked");
                    taken += 1;
                }
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    refused += 1;
                }
            }
        }
        assert!(taken > 50 && refused > 500, "{taken} taken, {refused} refused: hardly a test");
    }
}
