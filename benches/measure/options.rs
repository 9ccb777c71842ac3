//! Command-line options, the same for every benchmark.

/// What to run.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Numbers of keys.
    pub(crate) n: Vec<usize>,
    /// Rounds that count.
    pub(crate) rounds: usize,
    /// Operations per round.
    pub(crate) operations: usize,
    /// Parts of the names of the lines to run; all if empty.
    pub(crate) only: Vec<String>,
    /// File that results are appended to as JSON lines.
    pub(crate) json: Option<String>,
    /// Directory for files that are written; a temporary one if absent.
    pub(crate) directory: Option<String>,
    /// Directory of what is read; made up if absent.
    pub(crate) input: Option<String>,
    /// Results of Flink's to compare with.
    pub(crate) flink: Option<String>,
}

impl Options {
    /// Reads the command line; prints the usage and stops where it makes no sense.
    pub(crate) fn from_arguments(about: &str) -> Options {
        let mut options = Options {
            n: vec![1_000_000, 5_000_000],
            rounds: 15,
            operations: 500_000,
            only: vec![],
            json: None,
            directory: None,
            input: None,
            flink: None,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(option) = arguments.next() {
            if option == "--bench" {
                continue;
            }
            let value = arguments.next().unwrap_or_default();
            if options.set(&option, &value).is_none() {
                stop(about, &option, &value);
            }
        }
        options
    }

    /// Sets one option; `None` if it makes no sense.
    fn set(&mut self, option: &str, value: &str) -> Option<()> {
        match option {
            "--n" => self.n = value.split(',').map(count).collect::<Option<_>>()?,
            "--rounds" => self.rounds = count(value)?,
            "--operations" => self.operations = count(value)?,
            "--only" => self.only = value.split(',').map(str::to_owned).collect(),
            "--json" => self.json = Some(value.to_owned()),
            "--directory" => self.directory = Some(value.to_owned()),
            "--input" => self.input = Some(value.to_owned()),
            "--flink" => self.flink = Some(value.to_owned()),
            _ => return None,
        }
        Some(())
    }

    /// Whether a line is to be run.
    pub(crate) fn wants(&self, line: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| line.contains(part))
    }
}

#[expect(clippy::exit, reason = "the command line was not understood")]
fn stop(about: &str, option: &str, value: &str) -> ! {
    if option != "--help" {
        eprintln!("cannot understand {option} {value}");
    }
    eprintln!("{about}");
    eprintln!("  --n 1m,5m          numbers of keys");
    eprintln!("  --rounds 15        rounds that count");
    eprintln!("  --operations 500k  operations per round");
    eprintln!("  --only PART,PART   only lines whose name has one of these in it");
    eprintln!("  --json FILE        append the results to a file, as JSON lines");
    eprintln!("  --directory DIR    where files are written; default: a temporary directory");
    eprintln!("  --input DIR        flink_read only: a savepoint to read; default: one of --n entries is made");
    eprintln!("  --flink FILE       flink_read only: results of benches/flink_restore.sh to compare with");
    std::process::exit(if option == "--help" { 0 } else { 2 });
}

/// A number with an optional `k` or `m` behind it.
fn count(text: &str) -> Option<usize> {
    let (digits, unit) = match text.char_indices().next_back()? {
        (at, 'k') => (text.get(..at)?, 1_000),
        (at, 'm') => (text.get(..at)?, 1_000_000),
        _ => (text, 1),
    };
    digits.parse::<usize>().ok()?.checked_mul(unit)
}
