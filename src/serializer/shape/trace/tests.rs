#![expect(dead_code, reason = "most types here are only ever looked at by name")]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use super::*;
use crate::serializer::Shape;

fn shown<T: DeserializeOwned>() -> String {
    Shape::of::<T>().to_string()
}

/// Required fields of the struct at the root.
fn required<T: DeserializeOwned>() -> Vec<&'static str> {
    match trace::<T>().kind {
        Kind::Struct(node) => node.fields.iter().filter(|field| field.is_required).map(|field| field.name).collect(),
        other => panic!("{other:?} is no struct"),
    }
}

fn denies_unknown<T: DeserializeOwned>() -> Option<bool> {
    match trace::<T>().kind {
        Kind::Struct(node) => node.denies_unknown,
        other => panic!("{other:?} is no struct"),
    }
}

#[test]
fn std_types() {
    assert_eq!(shown::<u64>(), "u64");
    assert_eq!(shown::<i128>(), "i128");
    assert_eq!(shown::<()>(), "unit");
    assert_eq!(shown::<Box<str>>(), "string");
    assert_eq!(shown::<Option<char>>(), "option<char>");
    assert_eq!(shown::<HashSet<String>>(), "list<string>");
    assert_eq!(shown::<HashMap<u8, Vec<f32>>>(), "map<u8, list<f32>>");
    assert_eq!(shown::<BTreeMap<(u8, i8), ()>>(), "map<(u8, i8), unit>");
    assert_eq!(shown::<[bool; 3]>(), "(bool, bool, bool)");
    assert_eq!(shown::<(String, f64)>(), "(string, f64)");
    assert_eq!(shown::<NonZeroU32>(), "u32");
    assert_eq!(shown::<Duration>(), "struct Duration {secs: u64, nanos: u32}");
    assert_eq!(shown::<Result<u8, String>>(), "enum Result {Ok: u8, Err: string}");
    assert_eq!(shown::<Ipv4Addr>(), "(u8, u8, u8, u8)");
    assert!(shown::<IpAddr>().starts_with("enum IpAddr {V4: (u8, u8, u8, u8), V6: (u8, "));
    assert_eq!(shown::<serde_json::Value>(), "any");
    assert_eq!(shown::<[u8; 32]>(), format!("({})", vec!["u8"; 32].join(", ")));
}

#[derive(Deserialize)]
struct Profile {
    flights: u64,
    #[serde(default)]
    minutes: u32,
    last: Option<String>,
    #[serde(rename = "by")]
    by_airport: BTreeMap<String, u64>,
    #[serde(skip)]
    cache: Vec<u8>,
    kind: Kinds,
}

#[derive(Deserialize)]
enum Kinds {
    New,
    Seen(u64),
    Pair(u8, String),
    Gone {
        at: i64,
        #[serde(default)]
        why: String,
    },
    #[serde(rename = "lost")]
    Lost(Unit),
}

#[derive(Deserialize)]
struct Unit;

#[test]
fn derived_types() {
    assert_eq!(
        shown::<Profile>(),
        "struct Profile {flights: u64, minutes: u32, last: option<string>, by: map<string, u64>, kind: enum Kinds \
         {New, Seen: u64, Pair: (u8, string), Gone: struct Gone {at: i64, why: string}, lost: ()}}"
    );
    assert_eq!(required::<Profile>(), ["flights", "by", "kind"]);
    assert_eq!(denies_unknown::<Profile>(), Some(false));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Strict {
    a: u8,
    #[serde(default = "nine")]
    b: u8,
}

fn nine() -> u8 {
    9
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct AllDefault {
    a: u8,
    b: String,
}

#[derive(Deserialize)]
struct Empty {}

#[test]
fn defaults_and_strictness() {
    assert_eq!(required::<Strict>(), ["a"]);
    assert_eq!(denies_unknown::<Strict>(), Some(true));
    assert_eq!(required::<AllDefault>(), [""; 0]);
    assert_eq!(shown::<Empty>(), "struct Empty {}");
}

#[derive(Deserialize)]
struct Aliased {
    #[serde(alias = "before", alias = "zzz")]
    now: u8,
    b: u8,
    #[serde(alias = "a_c", default)]
    c: String,
    #[serde(alias = "d_d")]
    d: (u8, u8),
}

#[derive(Deserialize)]
struct OnlyAliased {
    #[serde(alias = "z")]
    a: u8,
}

#[derive(Deserialize)]
enum AliasedVariants {
    #[serde(alias = "Old", alias = "Older")]
    New(u8),
    Other,
}

#[test]
fn aliases_are_other_names_of_one_part() {
    assert_eq!(shown::<Aliased>(), "struct Aliased {now: u8, b: u8, c: string, d: (u8, u8)}");
    assert_eq!(required::<Aliased>(), ["now", "b", "d"]);
    assert_eq!(shown::<OnlyAliased>(), "struct OnlyAliased {a: u8}");
    match Shape::of::<AliasedVariants>() {
        Shape::Enum { variants, .. } => {
            assert_eq!(variants.len(), 2);
            let mut names = variants[0].aliases.clone();
            names.push(variants[0].name.clone());
            names.sort();
            assert_eq!(names, ["New", "Old", "Older"]);
        }
        other => panic!("{other}"),
    }
}

#[derive(Deserialize)]
enum Tree {
    Node(Box<Tree>, Box<Tree>),
    Leaf(u8),
}

#[derive(Deserialize)]
struct Chain {
    value: u8,
    next: Option<Box<Chain>>,
    after: i64,
}

#[derive(Deserialize)]
struct Forest {
    trees: Vec<Forest>,
    by_name: BTreeMap<String, Forest>,
    last: String,
}

#[derive(Deserialize)]
struct Endless {
    next: Box<Endless>,
    after: u8,
}

#[derive(Deserialize)]
struct Wrapped(Option<Box<Wrapped>>);

#[derive(Deserialize)]
enum Expression {
    Both { left: Box<Expression>, right: Box<Expression> },
    Not(Box<Expression>),
    All(Vec<Expression>),
    Fact(Fact),
    True,
}

#[derive(Deserialize)]
struct Fact {
    about: String,
    given: Option<Box<Expression>>,
    always: bool,
}

#[derive(Deserialize)]
struct Page<T> {
    items: Vec<T>,
    next: u64,
}

#[test]
fn recursion_is_cut() {
    assert_eq!(shown::<Tree>(), "enum Tree {Node: (any, any), Leaf: u8}");
    assert_eq!(shown::<Chain>(), "struct Chain {value: u8, next: option<any>, after: i64}");
    assert_eq!(required::<Chain>(), ["value", "after"]);
    assert_eq!(shown::<Forest>(), "struct Forest {trees: list<any>, by_name: map<string, any>, last: string}");
    assert_eq!(shown::<Endless>(), "struct Endless {next: any, after: u8}");
    assert_eq!(shown::<Wrapped>(), "option<any>");
    assert_eq!(
        shown::<Expression>(),
        "enum Expression {Both: struct Both {left: any, right: any}, Not: any, All: list<any>, Fact: struct Fact \
         {about: string, given: option<any>, always: bool}, True}"
    );
    let page = "struct Page {items: list<struct Page {items: list<u8>, next: u64}>, next: u64}";
    assert_eq!(shown::<Page<Page<u8>>>(), page, "a generic type inside itself with another argument is no recursion");
}

/// Reads nothing but strings with an at sign.
struct Email(String);

impl<'de> Deserialize<'de> for Email {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.contains('@') { Ok(Email(text)) } else { Err(D::Error::custom("no at sign")) }
    }
}

/// Reads a date and time, nothing else.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Instant(String);

impl TryFrom<String> for Instant {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        if text.contains('T') { Ok(Instant(text)) } else { Err("no date and time") }
    }
}

#[derive(Deserialize)]
#[serde(try_from = "RawSpan")]
struct Span {
    low: u8,
    high: u8,
}

#[derive(Deserialize)]
struct RawSpan {
    low: u8,
    high: u8,
}

impl TryFrom<RawSpan> for Span {
    type Error = &'static str;

    fn try_from(raw: RawSpan) -> Result<Self, &'static str> {
        if raw.low < raw.high { Ok(Span { low: raw.low, high: raw.high }) } else { Err("empty") }
    }
}

#[derive(Deserialize)]
struct Checked {
    a: u8,
    mail: Email,
    span: Span,
    copies: Option<Email>,
    list: Vec<Email>,
    z: String,
    #[serde(default)]
    extra: Option<Span>,
}

#[derive(Deserialize)]
enum CheckedVariants {
    Mail(Email),
    Both(Email, u8),
    Number(u8),
}

#[test]
fn parts_that_reject_what_is_made_up_are_any_and_the_rest_is_seen() {
    let span = "struct RawSpan {low: u8, high: u8}";
    assert_eq!(
        shown::<Checked>(),
        format!(
            "struct Checked {{a: u8, mail: any, span: {span}, copies: option<any>, list: list<any>, z: string, extra: \
             option<{span}>}}"
        )
    );
    let required = required::<Checked>();
    assert!(required.contains(&"a") && required.contains(&"mail"), "{required:?}");
    assert!(!required.contains(&"copies") && !required.contains(&"extra"));
    assert_eq!(shown::<CheckedVariants>(), "enum CheckedVariants {Mail: any, Both: (any, any), Number: u8}");
    assert_eq!(shown::<Vec<Email>>(), "list<any>");
    assert_eq!(shown::<(Instant, u8)>(), "(string, u8)", "the texts that are tried include a date and time");
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Internal {
    A { a: u8 },
    B,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(u64),
    Text(String),
}

#[derive(Deserialize)]
#[serde(tag = "t", content = "c")]
enum Adjacent {
    A(u8),
    B(String),
    C,
}

#[derive(Deserialize)]
struct Flat {
    own: u8,
    #[serde(flatten)]
    rest: RawSpan,
}

#[derive(Deserialize)]
struct Tagged {
    internal: Internal,
    untagged: Untagged,
    flat: Flat,
    last: u8,
}

#[derive(Deserialize)]
enum Open {
    A,
    #[serde(other)]
    Rest,
}

#[test]
fn types_that_are_read_by_looking_ahead_are_any() {
    assert_eq!(shown::<Internal>(), "any");
    assert_eq!(shown::<Untagged>(), "any");
    assert_eq!(shown::<Flat>(), "any");
    assert_eq!(shown::<Adjacent>(), "struct Adjacent {t: enum Adjacent {A, B, C}, c: any}");
    assert_eq!(shown::<Tagged>(), "struct Tagged {internal: any, untagged: any, flat: any, last: u8}");
    match trace::<Open>().kind {
        Kind::Enum(node) => assert_eq!(node.is_open, Some(true)),
        other => panic!("{other:?}"),
    }
    match trace::<Tree>().kind {
        Kind::Enum(node) => assert_eq!(node.is_open, Some(false)),
        other => panic!("{other:?}"),
    }
}

/// Panics whatever it is given.
struct Bomb;

impl<'de> Deserialize<'de> for Bomb {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u8::deserialize(deserializer)?;
        panic!("boom");
    }
}

/// Calls itself for ever.
struct Bottomless;

impl<'de> Deserialize<'de> for Bottomless {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <(Box<Bottomless>, u8)>::deserialize(deserializer)?;
        Ok(Bottomless)
    }
}

/// Asks for something else each time.
struct Fickle;

impl<'de> Deserialize<'de> for Fickle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        match ASKED.fetch_add(1, Ordering::Relaxed) % 3 {
            0 => u8::deserialize(deserializer).map(drop)?,
            1 => String::deserialize(deserializer).map(drop)?,
            _ => <Vec<u8>>::deserialize(deserializer).map(drop)?,
        }
        Err(D::Error::custom("never content"))
    }
}

enum Never {}

impl<'de> Deserialize<'de> for Never {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom("there is none"))
    }
}

#[derive(Deserialize)]
struct Hostile {
    first: u8,
    #[serde(default)]
    never: Option<Never>,
    fickle: Fickle,
    last: String,
}

#[test]
fn nothing_that_a_type_does_stops_or_breaks_the_search() {
    assert_eq!(shown::<Bomb>(), "any");
    assert!(shown::<Bottomless>().starts_with("(("));
    assert_eq!(shown::<Fickle>(), "any");
    assert_eq!(shown::<Never>(), "any");
    assert_eq!(shown::<Hostile>(), "struct Hostile {first: u8, never: option<any>, fickle: any, last: string}");
    let mut out = crate::codec::Writer::new();
    Shape::of::<Bottomless>().encode(&mut out).unwrap();
}

#[derive(Deserialize)]
enum Wide {
    A(Box<Wide>, Box<Wide>),
    B(Vec<Wide>, Option<Box<Wide>>, Level<Level<Level<u8>>>),
    C { left: Box<Level<Wide>>, right: Level<Level<Kinds>>, more: BTreeMap<String, Wide> },
    D(Profile),
    E([Kinds; 8]),
    F,
}

#[derive(Deserialize)]
struct Level<T> {
    a: T,
    b: Option<T>,
    c: Vec<T>,
    #[serde(default)]
    d: u8,
}

#[test]
fn a_large_type_is_seen_to_its_end() {
    let shown = shown::<Wide>();
    assert!(shown.starts_with("enum Wide {A: (any, any), B: (list<any>, option<any>, struct Level {a: struct Level {"));
    assert!(shown.ends_with("F}"));
    assert_eq!(shown.matches("struct Gone {at: i64, why: string}").count(), 9 + 1 + 8);
    assert_eq!(shown.matches("lost: ()").count(), 9 + 1 + 8);
}
