//! The dashboard on a screen.

use std::time::SystemTime;

use api::proto::machine::ServiceInfo;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Paragraph, RenderDirection, Row, Sparkline, Table};

use super::model::{Dashboard, History, Node, Sample, Tab};
use crate::commands::service;
use crate::output::{age, size};

/// The smallest screen, in columns and rows.
const SMALLEST: (u16, u16) = (80, 24);
/// What the keys do.
const KEYS: &str = " ←→ node  ↑↓ service, lines  Tab  q leave";

/// Whether there are colours.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    /// None with `NO_COLOR`.
    pub colours: bool,
}

impl Theme {
    fn colour(self, colour: Color) -> Style {
        if self.colours {
            Style::new().fg(colour)
        } else {
            Style::new()
        }
    }

    fn good(self) -> Style {
        self.colour(Color::Green)
    }

    fn waiting(self) -> Style {
        self.colour(Color::Yellow)
    }

    fn bad(self) -> Style {
        self.colour(Color::Red).add_modifier(Modifier::BOLD)
    }

    fn title(self) -> Style {
        self.colour(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }
}

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, dashboard: &Dashboard, theme: Theme) {
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let text = format!(
            "this terminal has {} columns and {} rows; the dashboard needs {} and {}",
            area.width, area.height, SMALLEST.0, SMALLEST.1
        );
        frame.render_widget(Paragraph::new(text).wrap(ratatui::widgets::Wrap { trim: true }), area);
        return;
    }
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Fill(1), Constraint::Length(1)]).areas(area);
    frame.render_widget(heading(dashboard, theme, head.width), head);
    frame.render_widget(footing(dashboard, theme), foot);
    let Some(node) = dashboard.node() else { return };
    match dashboard.tab {
        Tab::Summary => summary(frame, body, dashboard, node, theme),
        Tab::Monitor => monitor(frame, body, dashboard, node, theme),
        Tab::Logs => log(frame, body, dashboard, theme),
    }
}

/// The nodes, as many as there is room for around the one that is shown.
fn heading(dashboard: &Dashboard, theme: Theme, width: u16) -> Line<'_> {
    let names: Vec<String> = dashboard
        .nodes
        .iter()
        .map(|node| format!(" {} ", title(node)))
        .collect();
    let (mut first, mut room) = (dashboard.selected, usize::from(width));
    while first > 0 {
        let taken: usize = names[first - 1..=dashboard.selected]
            .iter()
            .map(|name| name.chars().count())
            .sum();
        if taken > room {
            break;
        }
        first -= 1;
    }
    let mut spans = Vec::new();
    for (index, name) in names.into_iter().enumerate().skip(first) {
        let length = name.chars().count();
        if length > room {
            break;
        }
        room -= length;
        let failed = dashboard.nodes[index].error.is_some();
        let style = if failed { theme.bad() } else { theme.title() };
        spans.push(if index == dashboard.selected {
            Span::styled(name, style.patch(theme.chosen()))
        } else {
            Span::styled(name, style)
        });
    }
    Line::from(spans)
}

/// A node as it was named, with the name it has.
fn title(node: &Node) -> String {
    let hostname = node
        .sample
        .as_ref()
        .map(|sample| sample.hostname.as_str())
        .unwrap_or_default();
    if hostname.is_empty() || hostname == node.name {
        node.name.clone()
    } else {
        format!("{} {hostname}", node.name)
    }
}

fn footing(dashboard: &Dashboard, theme: Theme) -> Line<'static> {
    let mut spans = Vec::new();
    for (index, tab) in Tab::ALL.into_iter().enumerate() {
        let text = format!(" F{} {} ", index + 1, tab.title());
        let style = if tab == dashboard.tab {
            theme.chosen()
        } else {
            Style::new()
        };
        spans.push(Span::styled(text, style));
    }
    spans.push(Span::raw(KEYS));
    Line::from(spans)
}

fn block(title: &str, theme: Theme) -> Block<'_> {
    Block::bordered().title(Span::styled(format!(" {title} "), theme.title()))
}

fn summary(frame: &mut Frame<'_>, area: Rect, dashboard: &Dashboard, node: &Node, theme: Theme) {
    let services = node.sample.as_ref().map_or(0, |sample| sample.services.len());
    let middle = u16::try_from(services).unwrap_or(u16::MAX).clamp(3, 10) + 3;
    let [top, middle, bottom] =
        Layout::vertical([Constraint::Length(8), Constraint::Length(middle), Constraint::Fill(1)]).areas(area);
    facts(frame, top, node, theme);
    service_table(frame, middle, dashboard, node, theme);
    log(frame, bottom, dashboard, theme);
}

/// What the node is, and how it is.
fn facts(frame: &mut Frame<'_>, area: Rect, node: &Node, theme: Theme) {
    let Some(sample) = &node.sample else {
        let text = node.error.clone().unwrap_or_else(|| "asking…".to_owned());
        let wrap = ratatui::widgets::Wrap { trim: true };
        frame.render_widget(Paragraph::new(text).wrap(wrap).block(block("Node", theme)), area);
        return;
    };
    let [left, right] = Layout::horizontal([Constraint::Percentage(50); 2]).areas(area);
    let (state, style) = state(node, sample, theme);
    let or = |text: &str| {
        if text.is_empty() {
            "-".to_owned()
        } else {
            text.to_owned()
        }
    };
    let about = [
        ("Name", Span::raw(or(&sample.hostname))),
        ("Type", Span::raw(or(&sample.kind))),
        ("State", Span::styled(state, style)),
        ("Version", Span::raw(or(&sample.version))),
        ("Kubernetes", Span::raw(or(&sample.kubernetes))),
        ("Up for", Span::raw(uptime(sample.uptime))),
    ];
    frame.render_widget(pairs(about).block(block("Node", theme)), left);
    let percent = |history: &History| history.last().map_or("-".to_owned(), |value| format!("{value:.0} %"));
    let used = sample.memory.total.saturating_sub(sample.memory.available);
    let [one, five, fifteen] = sample.load;
    let busy = [
        (
            "Processors",
            Span::raw(format!("{} of {}", percent(&node.cpu), sample.processors)),
        ),
        ("Load", Span::raw(format!("{one:.2} {five:.2} {fifteen:.2}"))),
        (
            "Memory",
            Span::raw(format!(
                "{} of {}",
                size::decimal(used),
                size::decimal(sample.memory.total)
            )),
        ),
        ("Received", Span::raw(rate(&node.received))),
        ("Sent", Span::raw(rate(&node.sent))),
        ("Processes", Span::raw(sample.processes.len().to_string())),
    ];
    frame.render_widget(pairs(busy).block(block("Use", theme)), right);
}

fn pairs(pairs: [(&'static str, Span<'static>); 6]) -> Paragraph<'static> {
    let line = |(name, value): (&str, Span<'static>)| Line::from(vec![Span::raw(format!("{name:<11} ")), value]);
    Paragraph::new(pairs.map(line).to_vec())
}

/// How the node is, in a few words.
fn state(node: &Node, sample: &Sample, theme: Theme) -> (String, Style) {
    if let Some(error) = &node.error {
        return (format!("does not answer: {error}"), theme.bad());
    }
    match (sample.ready, sample.unmet.first()) {
        (Some(true), _) => (format!("{}, ready", sample.stage), theme.good()),
        (_, Some(condition)) => (format!("{}, {condition}", sample.stage), theme.waiting()),
        _ if sample.stage.is_empty() => ("-".to_owned(), Style::new()),
        _ => (sample.stage.clone(), theme.waiting()),
    }
}

fn uptime(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes}m{}s", seconds % 60),
        (0, _) => format!("{hours}h{minutes}m"),
        _ => format!("{days}d{hours}h"),
    }
}

fn rate(history: &History) -> String {
    history.last().map_or("-".to_owned(), |value| {
        format!("{}/s", size::decimal(value.max(0.0) as u64))
    })
}

fn service_table(frame: &mut Frame<'_>, area: Rect, dashboard: &Dashboard, node: &Node, theme: Theme) {
    let services = node
        .sample
        .as_ref()
        .map(|sample| sample.services.as_slice())
        .unwrap_or_default();
    let chosen = dashboard.service.min(services.len().saturating_sub(1));
    let visible = usize::from(area.height.saturating_sub(3)).max(1);
    let first = (chosen + 1).saturating_sub(visible);
    let now = SystemTime::now();
    let row = |(index, info): (usize, &ServiceInfo)| {
        let last = info.events.as_ref().and_then(|events| events.events.last());
        let since = last
            .and_then(|event| event.ts)
            .map(|ts| age::ago(age::timestamp(ts.seconds, ts.nanos), now));
        let health = service::health(info);
        let style = match health {
            "OK" => theme.good(),
            "Fail" => theme.bad(),
            _ => theme.waiting(),
        };
        let row = Row::new([
            Cell::new(info.id.clone()),
            Cell::new(info.state.clone()),
            Cell::new(Span::styled(health, style)),
            Cell::new(since.unwrap_or_default()),
            Cell::new(last.map(|event| event.msg.clone()).unwrap_or_default()),
        ]);
        if index == chosen {
            row.style(theme.chosen())
        } else {
            row
        }
    };
    let rows = services.iter().enumerate().skip(first).take(visible).map(row);
    let widths = [
        Constraint::Length(14),
        Constraint::Length(10),
        Constraint::Length(6),
        Constraint::Length(14),
        Constraint::Fill(1),
    ];
    let header = Row::new(["SERVICE", "STATE", "HEALTH", "LAST CHANGE", "LAST EVENT"]).style(theme.title());
    let table = Table::new(rows, widths).header(header).block(block("Services", theme));
    frame.render_widget(table, area);
}

fn log(frame: &mut Frame<'_>, area: Rect, dashboard: &Dashboard, theme: Theme) {
    let visible = usize::from(area.height.saturating_sub(2));
    let scroll = if dashboard.tab == Tab::Logs {
        dashboard.scroll
    } else {
        0
    };
    let end = dashboard.log.len().saturating_sub(scroll);
    let start = end.saturating_sub(visible);
    let lines: Vec<Line<'_>> = dashboard
        .log
        .range(start..end)
        .map(|line| Line::raw(line.as_str()))
        .collect();
    let title = match scroll {
        0 => format!("Log of {}", dashboard.service()),
        lines => format!("Log of {}, {lines} lines above its end", dashboard.service()),
    };
    frame.render_widget(Paragraph::new(lines).block(block(&title, theme)), area);
}

fn monitor(frame: &mut Frame<'_>, area: Rect, dashboard: &Dashboard, node: &Node, theme: Theme) {
    let [graphs, table] = Layout::vertical([Constraint::Percentage(45), Constraint::Fill(1)]).areas(area);
    let [upper, lower] = Layout::vertical([Constraint::Percentage(50); 2]).areas(graphs);
    let [cpu, memory] = Layout::horizontal([Constraint::Percentage(50); 2]).areas(upper);
    let [received, sent] = Layout::horizontal([Constraint::Percentage(50); 2]).areas(lower);
    let percent = |name: &str, history: &History| match history.last() {
        Some(value) => format!("{name} {value:.1} %"),
        None => name.to_owned(),
    };
    graph(
        frame,
        cpu,
        &percent("Processors", &node.cpu),
        &node.cpu,
        Some(100.0),
        theme.good(),
    );
    graph(
        frame,
        memory,
        &percent("Memory", &node.memory),
        &node.memory,
        Some(100.0),
        theme.waiting(),
    );
    let style = theme.colour(Color::Blue);
    graph(
        frame,
        received,
        &format!("Received {}", rate(&node.received)),
        &node.received,
        None,
        style,
    );
    graph(
        frame,
        sent,
        &format!("Sent {}", rate(&node.sent)),
        &node.sent,
        None,
        style,
    );
    process_table(frame, table, dashboard, node, theme);
}

/// Points in a row, the newest at the right; `top` is the value of a full column, else that of the highest point.
fn graph(frame: &mut Frame<'_>, area: Rect, title: &str, history: &History, top: Option<f64>, style: Style) {
    let inner = usize::from(area.width.saturating_sub(2));
    // Percents in tenths, so that little is not nothing.
    let scale = if top.is_some() { 10.0 } else { 1.0 };
    let mut graph = Sparkline::default()
        .data(history.newest(inner, scale))
        .direction(RenderDirection::RightToLeft)
        .style(style)
        .block(Block::bordered().title(format!(" {title} ")));
    if let Some(top) = top {
        graph = graph.max((top * scale) as u64);
    }
    frame.render_widget(graph, area);
}

fn process_table(frame: &mut Frame<'_>, area: Rect, dashboard: &Dashboard, node: &Node, theme: Theme) {
    let visible = usize::from(area.height.saturating_sub(3));
    let rows = node
        .processes
        .iter()
        .skip(dashboard.scroll)
        .take(visible)
        .map(|process| {
            Row::new([
                process.pid.to_string(),
                process.state.clone(),
                process.threads.to_string(),
                format!("{:.1}", process.cpu),
                size::decimal(process.memory),
                process.command.clone(),
            ])
        });
    let widths = [
        Constraint::Length(8),
        Constraint::Length(5),
        Constraint::Length(7),
        Constraint::Length(6),
        Constraint::Length(9),
        Constraint::Fill(1),
    ];
    let header = Row::new(["PID", "STATE", "THREADS", "CPU %", "RESMEM", "COMMAND"]).style(theme.title());
    frame.render_widget(
        Table::new(rows, widths).header(header).block(block("Processes", theme)),
        area,
    );
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use api::proto::machine::{CpuStat, ProcessInfo, ServiceHealth};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::model::{Counters, Memory, Wish};
    use super::*;

    fn sample(at: u64) -> Sample {
        let service = |id: &str, healthy| ServiceInfo {
            id: id.into(),
            state: "Running".into(),
            health: Some(ServiceHealth {
                healthy,
                ..ServiceHealth::default()
            }),
            ..ServiceInfo::default()
        };
        Sample {
            at: Duration::from_secs(at),
            hostname: "cp-1".into(),
            version: "v1.13.0".into(),
            kind: "controlplane".into(),
            stage: "running".into(),
            ready: Some(true),
            kubernetes: "v1.37.1".into(),
            uptime: 3700,
            processors: 4,
            cpu: CpuStat {
                idle: at as f64 * 0.7,
                user: at as f64 * 0.3,
                ..CpuStat::default()
            },
            memory: Memory {
                total: 4_000_000_000,
                available: 1_000_000_000,
            },
            network: Counters {
                received: at * 5000,
                sent: at * 100,
            },
            services: vec![service("apid", true), service("etcd", false)],
            processes: vec![ProcessInfo {
                pid: 42,
                args: "/usr/bin/etcd".into(),
                ..ProcessInfo::default()
            }],
            ..Sample::default()
        }
    }

    fn dashboard() -> Dashboard {
        let mut dashboard = Dashboard::new(["10.5.0.2", "10.5.0.3"]);
        (1..9).for_each(|at| dashboard.nodes[0].take(sample(at)));
        dashboard.nodes[1].error = Some("connection refused".into());
        (0..99).for_each(|n| dashboard.line(&format!("line {n}")));
        dashboard
    }

    fn screen(dashboard: &Dashboard, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal
            .draw(|frame| draw(frame, dashboard, Theme { colours: true }))
            .unwrap();
        let buffer = terminal.backend().buffer().clone();
        let row = |y: u16| {
            (0..width)
                .map(|x| buffer[(x, y)].symbol().to_owned())
                .collect::<String>()
        };
        (0..height).map(|y| row(y) + "\n").collect()
    }

    #[test]
    fn the_summary_tells_what_the_node_is_its_services_and_its_log() {
        let mut dashboard = dashboard();
        for (width, height) in [(80, 24), (200, 60)] {
            let screen = screen(&dashboard, width, height);
            for text in [
                "10.5.0.2 cp-1",
                "10.5.0.3",
                "running, ready",
                "v1.37.1",
                "30 % of 4",
                "3.0 GB of 4.0 GB",
                "5.0 kB/s",
                "1h1m",
                "apid",
                "Fail",
                "Log of apid",
                "line 98",
                "q leave",
            ] {
                assert!(screen.contains(text), "{text} at {width}x{height}:\n{screen}");
            }
        }
        dashboard.wish(Wish::Move(1));
        assert!(screen(&dashboard, 80, 24).contains("Log of etcd"));
    }

    #[test]
    fn the_monitor_draws_graphs_with_the_newest_at_the_right() {
        let mut dashboard = dashboard();
        dashboard.wish(Wish::Show(Tab::Monitor));
        let screen = screen(&dashboard, 100, 30);
        for text in [
            "Processors 30.0 %",
            "Memory 75.0 %",
            "Received 5.0 kB/s",
            "/usr/bin/etcd",
        ] {
            assert!(screen.contains(text), "{text}:\n{screen}");
        }
        // Memory is three quarters of the graph's height, and there are eight looks.
        let bars = screen
            .lines()
            .find(|line| line.contains("████████│"))
            .unwrap_or_default();
        assert!(bars.ends_with("████████│"), "{screen}");
    }

    #[test]
    fn a_node_that_does_not_answer_says_so_and_the_log_can_be_read_back() {
        let mut dashboard = dashboard();
        dashboard.wish(Wish::Node(1));
        assert!(screen(&dashboard, 80, 24).contains("connection refused"));
        dashboard.wish(Wish::Show(Tab::Logs));
        dashboard.wish(Wish::Move(-50));
        let screen = screen(&dashboard, 80, 24);
        assert!(
            screen.contains("line 48") && !screen.contains("line 49") && screen.contains("50 lines above"),
            "{screen}"
        );
    }

    #[test]
    fn every_size_can_be_drawn_and_a_small_one_says_what_is_needed() {
        let mut dashboard = dashboard();
        for tab in Tab::ALL {
            dashboard.wish(Wish::Show(tab));
            for (width, height) in [(0, 0), (1, 1), (79, 24), (80, 24), (81, 100), (400, 24)] {
                let _ = screen(&dashboard, width, height);
            }
        }
        assert!(screen(&dashboard, 60, 20).contains("needs 80 and 24"));
        let _ = screen(&Dashboard::default(), 80, 24);
    }

    #[test]
    fn of_many_nodes_the_one_that_is_shown_is_in_the_heading() {
        let names: Vec<String> = (0..50).map(|n| format!("10.5.0.{n}")).collect();
        let mut dashboard = Dashboard::new(names.iter().map(String::as_str));
        dashboard.selected = 30;
        assert!(screen(&dashboard, 80, 24).lines().next().unwrap().contains("10.5.0.30"));
    }
}
