//! A CSV file: its rows by the names of their columns, and where in the file they stand.

use std::io::Read as _;
use std::path::Path;

use csv::{ReaderBuilder, StringRecord};

use crate::clear::error::{ClearError, Column, Problem, Problems};

/// How much of a wrong field is shown.
const SHOWN_CHARS: usize = 40;

/// The most characters a name may have.
const NAME_CHARS: usize = 64;

/// A file, read as a whole.
#[derive(Debug)]
pub(crate) struct Sheet {
    name: String,
    text: String,
}

impl Sheet {
    /// Reads a file, or standard input for `-`. A byte order mark is left out.
    ///
    /// # Errors
    /// [`ClearError::Unreadable`], and [`ClearError::Input`] for bytes that are not UTF-8.
    pub(crate) fn read(path: &Path) -> Result<Self, ClearError> {
        let stdin = path == Path::new("-");
        let name = if stdin { "standard input".to_owned() } else { path.display().to_string() };
        let mut bytes = Vec::new();
        let read = if stdin {
            std::io::stdin().lock().read_to_end(&mut bytes).map(|_| ())
        } else {
            std::fs::read(path).map(|all| bytes = all)
        };
        match read {
            Ok(()) => Self::from_bytes(name, bytes),
            Err(error) => Err(ClearError::Unreadable { file: name, error }),
        }
    }

    /// Takes what a file holds.
    ///
    /// # Errors
    /// [`ClearError::Input`] for bytes that are not UTF-8.
    pub(crate) fn from_bytes(name: String, bytes: Vec<u8>) -> Result<Self, ClearError> {
        let mut text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => return Err(not_utf8(name, error.as_bytes()).into()),
        };
        if text.starts_with('\u{feff}') {
            text.drain(..'\u{feff}'.len_utf8());
        }
        Ok(Self { name, text })
    }

    /// The file as it was named.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How many bytes it has.
    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// The line in which the byte `at` stands, from 1.
    pub(crate) fn line(&self, at: usize) -> u64 {
        line_of(self.text.as_bytes(), at)
    }

    /// A mistake in the row that begins at the byte `at`.
    pub(crate) fn problem(
        &self,
        at: usize,
        column: Option<Column>,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> Problem {
        let (file, line) = (self.name.clone(), self.line(at));
        Problem { file, line, column, found: found.into(), expected: expected.into() }
    }

    /// The rows below the header, which must name these columns and no others, in any order.
    /// `None` if it does not.
    pub(crate) fn rows<const N: usize>(
        &self,
        columns: [&'static str; N],
        problems: &mut Problems,
    ) -> Option<Rows<'_, N>> {
        let mut reader = ReaderBuilder::new();
        let mut rows = Rows {
            sheet: self,
            reader: reader.has_headers(false).flexible(true).from_reader(self.text.as_bytes()),
            record: StringRecord::new(),
            at: 0,
            columns,
            positions: [0; N],
        };
        if rows.advance(problems) {
            return rows.take_header(problems).then_some(rows);
        }
        problems.add(self.problem(0, None, "no header", columns.join(",")));
        None
    }
}

/// The rows of a sheet, one after the other.
#[derive(Debug)]
pub(crate) struct Rows<'s, const N: usize> {
    sheet: &'s Sheet,
    reader: csv::Reader<&'s [u8]>,
    record: StringRecord,
    /// Where the record begins in the text.
    at: usize,
    columns: [&'static str; N],
    /// By column: where in a record it stands.
    positions: [usize; N],
}

impl<const N: usize> Rows<'_, N> {
    /// Takes the record as the header, and says whether it is right.
    fn take_header(&mut self, problems: &mut Problems) -> bool {
        let heads: Vec<String> =
            self.record.iter().map(|head| head.trim().to_ascii_lowercase()).collect();
        let header = format!("the header {}", self.columns.join(","));
        let known = problems.count();
        let absent: Vec<_> =
            self.columns.iter().filter(|name| !heads.iter().any(|head| head == *name)).collect();
        if let [first, others @ ..] = absent.as_slice() {
            let mut found = format!("no column {first}");
            found.extend(others.iter().map(|other| format!(", {other}")));
            let other_sign = heads.len() == 1 && heads.iter().any(|it| it.contains([';', '\t']));
            let advice = if other_sign { ", separated by commas" } else { "" };
            let expected = format!("{header}{advice}");
            problems.add(self.sheet.problem(self.at, None, found, expected));
        }
        for (position, head) in heads.iter().enumerate() {
            let column = self.columns.iter().position(|name| name == head);
            let twice = heads.iter().take(position).any(|before| before == head);
            match column.filter(|_| !twice).and_then(|at| self.positions.get_mut(at)) {
                Some(entry) => *entry = position,
                None => {
                    let column = Column { number: position.saturating_add(1), name: "" };
                    let again = if twice { " again" } else { "" };
                    let found = format!("{}{again}", shown(head));
                    problems.add(self.sheet.problem(self.at, Some(column), found, header));
                    break;
                }
            }
        }
        problems.count() == known
    }

    /// The next row that has as many fields as there are columns. Rows without any content are
    /// passed over, others are noted; `None` at the end, or when enough mistakes are known.
    pub(crate) fn next(&mut self, problems: &mut Problems) -> Option<Row<'_, N>> {
        while !problems.is_full() && self.advance(problems) {
            if self.record.len() == N {
                let record = &self.record;
                let field = |position: usize| record.get(position).unwrap_or_default().trim();
                let fields = self.positions.map(field);
                let (sheet, at) = (self.sheet, self.at);
                let (columns, positions) = (&self.columns, &self.positions);
                return Some(Row { sheet, at, columns, positions, fields });
            }
            let fields = self.record.len();
            let column = Column { number: fields.min(N).saturating_add(1), name: "" };
            let found = match fields {
                _ if self.is_quote_open() => "a quote that is not closed".to_owned(),
                1 => "a row of one field".to_owned(),
                _ => format!("a row of {fields} fields"),
            };
            let expected = format!(
                "{N}, separated by commas; a field that holds a comma stands in \"quotes\""
            );
            problems.add(self.sheet.problem(self.at, Some(column), found, expected));
        }
        None
    }

    /// Whether the record in hand is all that is left, because a quote in it has no end.
    fn is_quote_open(&self) -> bool {
        let bytes = self.sheet.text.as_bytes().get(self.at..position(&self.reader));
        let quotes = bytes.unwrap_or_default().iter().filter(|byte| **byte == b'"').count();
        !quotes.is_multiple_of(2)
    }

    /// Goes to the next record that is not empty.
    fn advance(&mut self, problems: &mut Problems) -> bool {
        loop {
            let from = position(&self.reader);
            match self.reader.read_record(&mut self.record) {
                Ok(true) => {}
                Ok(false) => return false,
                Err(error) => {
                    let found = error.to_string();
                    problems.add(self.sheet.problem(from, None, found, "a row of CSV"));
                    return false;
                }
            }
            if self.record.iter().any(|field| !field.trim().is_empty()) {
                // The reader takes line ends before a record for a part of it.
                let bytes = self.sheet.text.as_bytes().get(from..).unwrap_or_default();
                let ends = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
                self.at = from.saturating_add(ends);
                return true;
            }
        }
    }
}

fn position(reader: &csv::Reader<&[u8]>) -> usize {
    usize::try_from(reader.position().byte()).unwrap_or(usize::MAX)
}

/// A row, its fields in the order of the columns that were asked for, without blanks around them.
#[derive(Debug)]
pub(crate) struct Row<'r, const N: usize> {
    sheet: &'r Sheet,
    /// Where it begins in the text.
    pub(crate) at: usize,
    columns: &'r [&'static str; N],
    positions: &'r [usize; N],
    /// What stands in it.
    pub(crate) fields: [&'r str; N],
}

impl<const N: usize> Row<'_, N> {
    /// A mistake in this row: `field` is the place of its column among those asked for.
    pub(crate) fn problem(&self, field: usize, expected: impl Into<String>) -> Problem {
        let found = shown(self.fields.get(field).copied().unwrap_or_default());
        self.sheet.problem(self.at, Some(self.column(field)), found, expected)
    }

    /// Where in the file such a field stands.
    pub(crate) fn column(&self, field: usize) -> Column {
        let number = self.positions.get(field).copied().unwrap_or_default().saturating_add(1);
        let name = self.columns.get(field).copied().unwrap_or_default();
        Column { number, name }
    }

    /// A field as a name.
    ///
    /// # Errors
    /// [`Problem`] if it is empty, too long, or holds what cannot be printed on one line.
    pub(crate) fn name(&self, field: usize) -> Result<&str, Problem> {
        let name = self.fields.get(field).copied().unwrap_or_default();
        let length = name.chars().take(NAME_CHARS.saturating_add(1)).count();
        if (1..=NAME_CHARS).contains(&length) && !name.chars().any(char::is_control) {
            return Ok(name);
        }
        let expected = format!("a name of 1 to {NAME_CHARS} characters on one line");
        Err(self.problem(field, expected))
    }
}

/// A field as it is shown in a sentence.
pub(crate) fn shown(field: &str) -> String {
    if field.is_empty() {
        return "nothing".to_owned();
    }
    match field.char_indices().nth(SHOWN_CHARS) {
        None => format!("{field:?}"),
        Some((end, _)) => format!("{:?} and more", field.get(..end).unwrap_or_default()),
    }
}

/// The line of the byte `at`, from 1: a line ends with LF, CR LF, or a CR alone.
fn line_of(bytes: &[u8], at: usize) -> u64 {
    let before = bytes.get(..at).unwrap_or(bytes);
    let mut line = 1_u64;
    for (place, byte) in before.iter().enumerate() {
        let next = bytes.get(place.saturating_add(1));
        if *byte == b'\n' || (*byte == b'\r' && next != Some(&b'\n')) {
            line = line.saturating_add(1);
        }
    }
    line
}

/// Says where bytes stop to be UTF-8.
fn not_utf8(file: String, bytes: &[u8]) -> Problems {
    let valid = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
    let before = bytes.get(..valid).unwrap_or_default();
    let start = before.iter().rposition(|byte| matches!(byte, b'\n' | b'\r'));
    let line_start = start.map_or(0, |end| end.saturating_add(1));
    // The field is known by reading the line as far as it is text.
    let head = before.get(line_start..).unwrap_or_default();
    let mut record = csv::ByteRecord::new();
    let mut reader = ReaderBuilder::new().has_headers(false).from_reader(head);
    let number = reader.read_byte_record(&mut record).map_or(1, |_| record.len().max(1));
    let wide = matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]);
    let advice = if wide { "; this looks like UTF-16: save it as CSV in UTF-8" } else { "" };
    let mut problems = Problems::default();
    problems.add(Problem {
        file,
        line: line_of(bytes, valid),
        column: Some(Column { number, name: "" }),
        found: format!("the byte 0x{:02X}", bytes.get(valid).copied().unwrap_or_default()),
        expected: format!("text in UTF-8{advice}"),
    });
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet(bytes: &[u8]) -> Result<Sheet, String> {
        Sheet::from_bytes("f.csv".to_owned(), bytes.to_vec()).map_err(|error| error.to_string())
    }

    /// The rows of a file with the columns `a` and `b`, each with its line, and all mistakes.
    fn read(bytes: &[u8]) -> (Vec<(u64, String, String)>, String) {
        let sheet = sheet(bytes).expect("text");
        let (mut problems, mut found) = (Problems::default(), Vec::new());
        if let Some(mut rows) = sheet.rows(["a", "b"], &mut problems) {
            while let Some(row) = rows.next(&mut problems) {
                let [a, b] = row.fields;
                found.push((sheet.line(row.at), a.to_owned(), b.to_owned()));
            }
        }
        (found, if problems.is_empty() { String::new() } else { problems.to_string() })
    }

    #[test]
    fn lines_are_counted_through_every_way_to_end_and_to_skip_them() {
        let expected = |lines: [u64; 2]| {
            let [one, two] = lines;
            vec![(one, "1".to_owned(), "2".to_owned()), (two, "3".to_owned(), "4".to_owned())]
        };
        for (text, lines) in [
            ("a,b\n1,2\n3,4\n", [2, 3]),
            ("a,b\n1,2\n3,4", [2, 3]),
            ("a,b\r\n1,2\r\n3,4\r\n\r\n", [2, 3]),
            ("a,b\r1,2\r3,4", [2, 3]),
            ("\n\na,b\n\n1,2\n\n\n3,4\n\n\n", [5, 8]),
            ("a,b\r\n\r\n1,2\r\n,\r\n \t\r\n3,4\r\n,,,,\r\n", [3, 6]),
            ("\u{feff}b, A \n2,1\n \"4\" ,3\n", [2, 3]),
            ("\"a\",\"b\"\n\"1\",\"2\"\n3, 4\n", [2, 3]),
        ] {
            let (mut rows, problems) = read(text.as_bytes());
            for row in &mut rows {
                row.2 = row.2.trim_matches('"').to_owned();
            }
            assert_eq!((rows, problems.as_str()), (expected(lines), ""), "{text:?}");
        }
    }

    #[test]
    fn quotes_hold_commas_quotes_and_line_ends() {
        let (rows, problems) = read(b"a,b\n\"x, \"\"y\"\"\",\"1\n2\"\n3,4\n");
        assert_eq!(problems, "");
        assert_eq!(rows[0], (2, "x, \"y\"".to_owned(), "1\n2".to_owned()));
        assert_eq!(rows[1].0, 4);
    }

    #[test]
    fn a_quote_without_an_end_is_named_where_it_begins() {
        let (rows, problems) = read(b"a,b\n1,2\n\"3,4\n5,6\n");
        assert_eq!(rows.len(), 1);
        let told =
            "f.csv, line 3, column 2: found a quote that is not closed, expected 2, separated";
        assert!(problems.contains(told), "{problems}");
    }

    #[test]
    fn a_wrong_header_is_one_mistake_with_what_it_should_be() {
        for (text, told) in [
            ("", "f.csv, line 1, found no header, expected a,b"),
            ("\n\n", "line 1, found no header"),
            ("a\n1\n", "line 1, found no column b, expected the header a,b"),
            ("\na,b,c\n1,2,3\n", "line 2, column 3: found \"c\", expected the header a,b"),
            ("a,b,a\n1,2,3\n", "line 1, column 3: found \"a\" again, expected the header a,b"),
            ("a;b\n1;2\n", "expected the header a,b, separated by commas"),
            ("a\tb\n1\t2\n", "expected the header a,b, separated by commas"),
            ("1,2\n", "line 1, found no column a, b, expected"),
        ] {
            let (rows, problems) = read(text.as_bytes());
            assert!(rows.is_empty() && problems.contains(told), "{text:?}: {problems}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_named_with_their_place() {
        for (bytes, told) in [
            (&b"a,b\r\n1,2\r\n3,caf\xe9\r\n"[..], "f.csv, line 3, column 2: found the byte 0xE9"),
            (b"a,b\n\"x,y\",\xff\n", "line 2, column 2: found the byte 0xFF"),
            (b"\xe3\x81,b\n", "line 1, column 1: found the byte 0xE3, expected text in UTF-8"),
            (
                b"\xff\xfea\0,\0b\0",
                "line 1, column 1: found the byte 0xFF, expected text in UTF-8; this looks like",
            ),
        ] {
            let problem = sheet(bytes).expect_err("no text");
            assert!(problem.contains(told), "{problem}");
        }
    }
}
