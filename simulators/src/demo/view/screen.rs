//! The live view at a terminal.

use std::io;
use std::path::Path;
use std::time::Duration;

use market::energy::Energy;
use market::time::Timestamp;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Paragraph, Row, Sparkline, Table, Wrap};
use ratatui::{DefaultTerminal, Frame};

use crate::demo::supervisor::Role;
use crate::demo::view::trouble;
use crate::demo::watch::Seen;

const SUN: Color = Color::Yellow;
const GOOD: Color = Color::Green;
const BAD: Color = Color::Red;

pub(in crate::demo) struct Screen {
    terminal: DefaultTerminal,
    dashboard_url: String,
    dir: String,
    prices: Vec<u64>,
    last_settled: u64,
}

impl Screen {
    pub(in crate::demo) fn new(terminal: DefaultTerminal, dashboard_url: &str, dir: &Path) -> Self {
        Self {
            terminal,
            dashboard_url: dashboard_url.to_owned(),
            dir: dir.display().to_string(),
            prices: Vec::new(),
            last_settled: 0,
        }
    }

    pub(in crate::demo) fn draw(
        &mut self,
        seen: &Seen,
        now: Timestamp,
        running: Duration,
    ) -> io::Result<()> {
        self.remember_price(seen);
        let (url, dir, prices) = (&self.dashboard_url, &self.dir, &self.prices);
        self.terminal.draw(|frame| {
            let troubles = troubles(seen, frame.area().width);
            let [head, market, processes, trouble, foot] = Layout::vertical([
                Constraint::Length(3),
                Constraint::Length(6),
                Constraint::Min(8),
                Constraint::Length(troubles.height),
                Constraint::Length(2),
            ])
            .areas(frame.area());
            draw_head(frame, head, seen, now, running);
            draw_market(frame, market, seen, prices);
            draw_processes(frame, processes, seen);
            draw_troubles(frame, trouble, troubles);
            let foot_lines = vec![
                Line::from(vec!["Dashboard  ".into(), Span::styled(url, Style::new().fg(SUN))]),
                Line::from(format!("Data and logs  {dir}     q or Ctrl-C ends it")),
            ];
            frame.render_widget(Paragraph::new(foot_lines), foot);
        })?;
        Ok(())
    }

    fn remember_price(&mut self, seen: &Seen) {
        if seen.dashboard.settled_periods == self.last_settled {
            return;
        }
        self.last_settled = seen.dashboard.settled_periods;
        let price = seen.dashboard.last_price.as_deref().and_then(|text| text.parse().ok());
        let micros = price.map_or(0, market::price::Price::micros_per_kwh);
        self.prices.push(u64::try_from(micros / 1_000).unwrap_or_default());
    }
}

fn draw_head(frame: &mut Frame, area: Rect, seen: &Seen, now: Timestamp, running: Duration) {
    let dashboard = &seen.dashboard;
    let colour = match dashboard.state.as_str() {
        "live" => GOOD,
        "halted" => BAD,
        _ => SUN,
    };
    let words = if dashboard.words.is_empty() { "starting" } else { &dashboard.words };
    let title =
        Span::styled(" Hidamari 陽だまり ", Style::new().fg(SUN).add_modifier(Modifier::BOLD));
    let line = Line::from(vec![
        Span::raw(format!("{now}  ")),
        Span::styled(words.to_owned(), Style::new().fg(colour)),
        Span::raw(format!("  running {} s", running.as_secs())),
    ]);
    frame.render_widget(Paragraph::new(line).block(Block::bordered().title(title)), area);
}

fn draw_market(frame: &mut Frame, area: Rect, seen: &Seen, prices: &[u64]) {
    let [figures, chart] =
        Layout::horizontal([Constraint::Length(46), Constraint::Min(20)]).areas(area);
    let dashboard = &seen.dashboard;
    let row = |name: &'static str, value: String| {
        Row::new([Cell::from(name), Cell::from(Line::from(value).right_aligned())])
    };
    let saved = if dashboard.saved_today.is_empty() { "-" } else { &dashboard.saved_today };
    let rows = [
        row("Last clearing price per kWh", dashboard.last_price.clone().unwrap_or("-".into())),
        row("Traded today", Energy::from_wh(dashboard.traded_today_wh).to_string()),
        row("Saved today", saved.to_owned()),
        row("Periods settled", dashboard.settled_periods.to_string()),
    ];
    let table = Table::new(rows, [Constraint::Length(28), Constraint::Min(12)])
        .block(Block::bordered().title(" Market "));
    frame.render_widget(table, figures);
    let newest = prices.len().saturating_sub(usize::from(chart.width.saturating_sub(2)));
    let sparkline = Sparkline::default()
        .data(prices.get(newest..).unwrap_or_default())
        .style(Style::new().fg(SUN))
        .block(Block::bordered().title(" Price by period "));
    frame.render_widget(sparkline, chart);
}

fn draw_processes(frame: &mut Frame, area: Rect, seen: &Seen) {
    let mut validators = seen.validators.iter();
    let mut agents = seen.agents.iter();
    let rows = seen.processes.iter().map(|(health, resources)| {
        let seen_words = match health.role {
            Role::Validator => match validators.next() {
                Some(Some(seen)) => format!(
                    "height {}  round {}  {}{}",
                    seen.height,
                    seen.round,
                    seen.phase,
                    if seen.has_quorum { "" } else { "  NO QUORUM" }
                ),
                _ => "does not answer".to_owned(),
            },
            Role::Agent => agent_words(agents.next().and_then(Option::as_ref)),
            Role::Dashboard => format!("verified height {}", seen.dashboard.height),
        };
        let up = health.pid.is_some();
        let words = match health.given_up {
            true => "cannot run".to_owned(),
            false => seen_words,
        };
        let memory = resources.map_or(0, |resources| resources.resident_bytes / 1_000_000);
        let restarts =
            if health.restarts == 0 { String::new() } else { health.restarts.to_string() };
        Row::new([
            Cell::from(if up { "●" } else { "○" }).style(Style::new().fg(if up {
                GOOD
            } else {
                BAD
            })),
            Cell::from(health.name.clone()),
            Cell::from(words),
            Cell::from(format!("{memory} MB")),
            Cell::from(restarts),
        ])
    });
    let widths = [
        Constraint::Length(1),
        Constraint::Length(12),
        Constraint::Min(30),
        Constraint::Length(7),
        Constraint::Length(8),
    ];
    let header = Row::new(["", "process", "", "memory", "restarts"])
        .style(Style::new().add_modifier(Modifier::BOLD));
    let table =
        Table::new(rows, widths).header(header).block(Block::bordered().title(" Processes "));
    frame.render_widget(table, area);
}

/// What the processes in trouble last said, and how many lines that takes.
struct Troubles {
    text: String,
    height: u16,
}

/// At most so many lines of troubles are shown: the rest of the view stays readable.
const TROUBLE_LINES_MAX: u16 = 12;

fn troubles(seen: &Seen, width: u16) -> Troubles {
    let words: Vec<String> =
        seen.processes.iter().filter_map(|(health, _)| trouble::words(health)).collect();
    let text = words.join("\n");
    if words.is_empty() {
        return Troubles { text, height: 0 };
    }
    let inner = usize::from(width.saturating_sub(2)).max(1);
    // Breaking at words takes more than breaking anywhere, but hardly ever more than a line more.
    let lines = |words: &String| {
        let whole = words.chars().count().div_ceil(inner);
        if whole > 1 { whole + 1 } else { whole }
    };
    let lines: usize = words.iter().map(lines).sum();
    let lines = u16::try_from(lines).unwrap_or(u16::MAX).min(TROUBLE_LINES_MAX);
    Troubles { text, height: lines.saturating_add(2) }
}

fn draw_troubles(frame: &mut Frame, area: Rect, troubles: Troubles) {
    let block = Block::bordered().title(" Trouble ").border_style(Style::new().fg(BAD));
    frame.render_widget(Paragraph::new(troubles.text).wrap(Wrap { trim: true }).block(block), area);
}

/// What an agent has to say: its meter, its power, and what became of its last order.
fn agent_words(status: Option<&serde_json::Value>) -> String {
    let Some(status) = status else { return "starting".to_owned() };
    let meter = &status["meter"];
    let power = match meter["power_w"].as_i64() {
        Some(watts) if watts < 0 => format!("feeds in {:>5} W", watts.unsigned_abs()),
        Some(watts) => format!("draws    {watts:>5} W"),
        None => format!("meter {}", meter["state"].as_str().unwrap_or("unknown")),
    };
    format!("{power}  {}", status["last_answer"].as_str().unwrap_or_default())
}
