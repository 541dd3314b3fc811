//! What a terminal shows, and when.

use std::time::Duration;

/// The width of the terminal.
pub(crate) const COLUMNS: usize = 100;
/// How long a command stands at the prompt before it runs.
const TYPING_TIME: Duration = Duration::from_millis(900);
/// How long what a command has printed stands alone.
const READING_TIME: Duration = Duration::from_millis(1500);
/// Longer pauses of a program are cut to this. The demo needs some 12 s to start.
const MAX_PAUSE: Duration = Duration::from_millis(40);
/// A line that a program draws again and again is shown this often.
const REDRAW_INTERVAL: Duration = Duration::from_millis(600);

/// A text in a row, from one time to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) row: usize,
    pub(crate) text: String,
    pub(crate) from: Duration,
    /// Nothing at the end of the recording.
    pub(crate) until: Option<Duration>,
}

/// A terminal. It knows what our programs write to one: text, returns, and sequences that erase or colour.
pub(crate) struct Screen {
    rows: Vec<Vec<char>>,
    row: usize,
    column: usize,
    /// The time of the recording.
    now: Duration,
    /// When the current program wrote last, and when its redrawn line was shown last.
    last: Duration,
    redrawn: Duration,
    history: Vec<Shown>,
}

impl Screen {
    pub(crate) fn new() -> Self {
        let zero = Duration::ZERO;
        Self {
            rows: vec![Vec::new()],
            row: 0,
            column: 0,
            now: zero,
            last: zero,
            redrawn: zero,
            history: Vec::new(),
        }
    }

    /// Shows a command at a new prompt.
    pub(crate) fn prompt(&mut self, command: &str) {
        if self.row > 0 {
            self.now += READING_TIME;
            self.write("\n");
        }
        self.write(&format!("$ {command}\n"));
        self.remember();
        self.now += TYPING_TIME;
        (self.last, self.redrawn) = (Duration::ZERO, Duration::ZERO);
    }

    /// Shows what a program has written, this long after its start.
    pub(crate) fn print(&mut self, text: &str, at: Duration) {
        self.now += at.saturating_sub(self.last).min(MAX_PAUSE);
        self.last = at;
        let rows = self.rows.len();
        self.write(text);
        let is_redraw = self.rows.len() == rows && at.saturating_sub(self.redrawn) < REDRAW_INTERVAL;
        if !is_redraw {
            self.redrawn = at;
            self.remember();
        }
    }

    pub(crate) fn text(&self) -> String {
        self.rows.iter().map(|row| row.iter().collect::<String>() + "\n").collect()
    }

    pub(crate) fn shows(&self, text: &str) -> bool {
        self.text().lines().any(|line| !line.starts_with('$') && line.contains(text))
    }

    /// Everything that was shown.
    pub(crate) fn history(mut self) -> Vec<Shown> {
        self.remember();
        self.history
    }

    /// Records the rows that have changed.
    fn remember(&mut self) {
        let mut new = Vec::new();
        for (row, characters) in self.rows.iter().enumerate() {
            let text = characters.iter().collect::<String>().trim_end().to_owned();
            let now = self.now;
            match self.history.iter_mut().rev().find(|shown| shown.row == row && shown.until.is_none()) {
                Some(shown) if shown.text == text => continue,
                Some(shown) => shown.until = Some(now),
                None => {}
            }
            if !text.is_empty() {
                new.push(Shown { row, text, from: now, until: None });
            }
        }
        self.history.extend(new);
    }

    fn write(&mut self, text: &str) {
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            match character {
                '\n' => {
                    self.row += 1;
                    self.column = 0;
                    if self.row == self.rows.len() {
                        self.rows.push(Vec::new());
                    }
                }
                '\r' => self.column = 0,
                '\u{1b}' => {
                    // A control sequence ends with a letter.
                    let mut sequence = String::new();
                    while !sequence.ends_with(|end: char| end.is_ascii_alphabetic()) {
                        let Some(character) = characters.next() else { break };
                        sequence.push(character);
                    }
                    self.control(&sequence);
                }
                character if character.is_control() => {}
                character => self.put(character),
            }
        }
    }

    fn control(&mut self, sequence: &str) {
        let row = self.row;
        match sequence {
            "[2K" => self.edit(row, |characters, _| characters.clear()),
            "[K" | "[0K" => self.edit(row, Vec::truncate),
            "[J" | "[0J" => {
                self.edit(row, Vec::truncate);
                self.rows.truncate(row + 1);
            }
            sequence => {
                let count = |end| Some(sequence.strip_prefix('[')?.strip_suffix(end)?.parse().unwrap_or(1));
                if let Some(rows) = count('A') {
                    self.row = row.saturating_sub(rows);
                } else if let Some(rows) = count('B') {
                    self.row = (row + rows).min(self.rows.len().saturating_sub(1));
                }
            }
        }
    }

    fn edit(&mut self, row: usize, change: impl FnOnce(&mut Vec<char>, usize)) {
        let column = self.column;
        if let Some(characters) = self.rows.get_mut(row) {
            change(characters, column);
        }
    }

    fn put(&mut self, character: char) {
        if self.column == COLUMNS {
            self.write("\n");
        }
        let (row, column) = (self.row, self.column);
        if let Some(characters) = self.rows.get_mut(row) {
            characters.resize(characters.len().max(column + 1), ' ');
            if let Some(place) = characters.get_mut(column) {
                *place = character;
            }
        }
        self.column += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_line_that_is_drawn_again_takes_the_place_of_the_old_one() {
        let mut screen = Screen::new();
        screen.prompt("demo");
        screen.print("\u{1b}[?25l[>] one", seconds(1));
        screen.print("\r\u{1b}[2K[=>] two", seconds(3));
        screen.print("\r\u{1b}[2K\u{1b}[32mready\u{1b}[0m\r\n", seconds(9));
        assert_eq!(screen.text(), "$ demo\nready\n\n");
        assert!(screen.shows("ready") && !screen.shows("two") && !screen.shows("demo"));
        let history = screen.history();
        let texts: Vec<_> = history.iter().map(|shown| (shown.row, shown.text.as_str())).collect();
        assert_eq!(texts, [(0, "$ demo"), (1, "[>] one"), (1, "[=>] two"), (1, "ready")]);
        assert_eq!(history[1].until, Some(history[2].from));
        assert_eq!(history[3].until, None);
        // The program took eight seconds, and the recording takes a part of one.
        assert!(history[3].from - history[1].from < seconds(1));
    }

    #[test]
    fn a_long_line_is_broken_and_erased() {
        let mut screen = Screen::new();
        screen.print(&"x".repeat(COLUMNS + 1), seconds(0));
        assert_eq!(screen.text(), format!("{}\nx\n", "x".repeat(COLUMNS)));
        screen.print("\u{1b}[1A\r\u{1b}[2K\u{1b}[1B\r\u{1b}[2K\u{1b}[1Ashort", seconds(0));
        assert_eq!(screen.text(), "short\n\n");
    }
}
