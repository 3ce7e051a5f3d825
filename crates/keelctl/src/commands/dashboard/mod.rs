//! `dashboard`: nodes at a glance, live, on the whole screen.

mod draw;
mod model;
mod poll;

use std::io::{IsTerminal as _, stdin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::Program;
use crate::cli::common::Node;
use crate::cli::load::Dashboard as Args;
use crate::output::stdout_is_terminal;
use crate::session::{Interrupted, Session, block};
use draw::Theme;
use model::{Dashboard, Tab, Wish};
use poll::News;

/// How often the keyboard's thread looks whether it is still needed.
const KEYBOARD: Duration = Duration::from_millis(100);
/// How much news may wait until it is drawn.
const WAITING: usize = 1024;
/// Lines of a page.
const PAGE: isize = 10;

/// Runs `dashboard`.
pub fn run(command: &Node<Args>, program: Program) -> Result<()> {
    if !stdout_is_terminal() || !stdin().is_terminal() {
        bail!(
            "the dashboard needs a terminal: `service`, `memory`, `processes`, `stats` and `logs` print the same to a file or pipe"
        );
    }
    let interval = command.args.update_interval;
    if interval < Duration::from_millis(100) {
        bail!("--update-interval is too short: at least 100ms");
    }
    block(async {
        let session = Session::open(&command.client, program)?;
        let colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let mut screen = Screen::open()?;
        // The screen is given back before anything is said.
        let ended = show(&session, interval, &mut screen.0, Theme { colours }).await;
        drop(screen);
        ended
    })
}

/// The terminal as long as it is ours. A panic gives it back as well.
struct Screen(DefaultTerminal);

impl Screen {
    fn open() -> Result<Self> {
        Ok(Self(ratatui::try_init().context("take the terminal")?))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Something the person did.
enum Input {
    Wish(Wish),
    Resized,
    Leave,
}

async fn show(session: &Session, interval: Duration, terminal: &mut DefaultTerminal, theme: Theme) -> Result<()> {
    let mut dashboard = Dashboard::new(session.targets().iter().map(|target| target.node.as_str()));
    let (news, mut arriving) = mpsc::channel(WAITING);
    for (number, target) in session.targets().iter().enumerate() {
        tokio::spawn(poll::watch_node(number, target.clone(), interval, news.clone()));
    }
    let (want, wanted) = watch::channel((0, dashboard.service().to_owned()));
    tokio::spawn(poll::follow(session.targets().to_vec(), wanted, news));
    let mut keyboard = Keyboard::start();
    let mut terminated = signal(SignalKind::terminate()).context("listen for signals")?;
    let mut hung_up = signal(SignalKind::hangup()).context("listen for signals")?;
    loop {
        terminal
            .draw(|frame| draw::draw(frame, &dashboard, theme))
            .context("draw the dashboard")?;
        tokio::select! {
            Some(first) = arriving.recv() => {
                take(&mut dashboard, first);
                // What else has arrived is drawn at once with it.
                while let Ok(more) = arriving.try_recv() {
                    take(&mut dashboard, more);
                }
            }
            input = keyboard.next() => match input? {
                Input::Leave => return Ok(()),
                Input::Resized => {}
                Input::Wish(wish) => dashboard.wish(wish),
            },
            _ = terminated.recv() => return Err(Interrupted::by(SignalKind::terminate().as_raw_value()).into()),
            _ = hung_up.recv() => return Err(Interrupted::by(SignalKind::hangup().as_raw_value()).into()),
        }
        want.send_if_modified(|wanted| {
            let now = (dashboard.selected, dashboard.service().to_owned());
            let changed = *wanted != now;
            *wanted = now;
            changed
        });
    }
}

fn take(dashboard: &mut Dashboard, news: News) {
    match news {
        News::Sample(number, looked) => {
            if let Some(node) = dashboard.nodes.get_mut(number) {
                match *looked {
                    Ok(sample) => node.take(sample),
                    Err(error) => node.error = Some(error),
                }
            }
        }
        News::Log => dashboard.clear_log(),
        News::Line(line) => dashboard.line(&line),
    }
}

/// A thread that reads the keyboard, as reading blocks.
struct Keyboard {
    inputs: mpsc::Receiver<std::io::Result<Input>>,
    done: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Keyboard {
    fn start() -> Self {
        let (sender, inputs) = mpsc::channel(WAITING);
        let done = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&done);
        let read = move || {
            while !stop.load(Ordering::Relaxed) {
                let input = match event::poll(KEYBOARD) {
                    Ok(false) => continue,
                    Ok(true) => event::read().map(|event| input(&event)),
                    Err(error) => Err(error),
                };
                let failed = input.is_err();
                if let Some(input) = input.transpose()
                    && (sender.blocking_send(input).is_err() || failed)
                {
                    return;
                }
            }
        };
        let thread = Some(std::thread::spawn(read));
        Self { inputs, done, thread }
    }

    async fn next(&mut self) -> Result<Input> {
        let input = self.inputs.recv().await.context("the keyboard is gone")?;
        input.context("read the keyboard")
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        self.inputs.close();
        // It must not take what is typed for the shell.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What an event means; most mean nothing.
fn input(event: &Event) -> Option<Input> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => of_key(key),
        Event::Resize(..) => Some(Input::Resized),
        _ => None,
    }
}

fn of_key(key: &KeyEvent) -> Option<Input> {
    let wish = match key.code {
        KeyCode::Char('q') => return Some(Input::Leave),
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Some(Input::Leave),
        KeyCode::Left | KeyCode::Char('h') => Wish::Node(-1),
        KeyCode::Right | KeyCode::Char('l') => Wish::Node(1),
        KeyCode::Up | KeyCode::Char('k') => Wish::Move(-1),
        KeyCode::Down | KeyCode::Char('j') => Wish::Move(1),
        KeyCode::PageUp => Wish::Move(-PAGE),
        KeyCode::PageDown => Wish::Move(PAGE),
        KeyCode::End => Wish::End,
        KeyCode::Tab => Wish::NextTab,
        KeyCode::F(1) | KeyCode::Char('1') => Wish::Show(Tab::Summary),
        KeyCode::F(2) | KeyCode::Char('2') => Wish::Show(Tab::Monitor),
        KeyCode::F(3) | KeyCode::Char('3') => Wish::Show(Tab::Logs),
        _ => return None,
    };
    Some(Input::Wish(wish))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_understood_and_others_mean_nothing() {
        let key = |code, modifiers| input(&Event::Key(KeyEvent::new(code, modifiers)));
        assert!(matches!(
            key(KeyCode::Char('q'), KeyModifiers::NONE),
            Some(Input::Leave)
        ));
        assert!(matches!(
            key(KeyCode::Char('c'), KeyModifiers::CONTROL),
            Some(Input::Leave)
        ));
        assert!(key(KeyCode::Char('c'), KeyModifiers::NONE).is_none());
        let right = key(KeyCode::Right, KeyModifiers::NONE);
        assert!(matches!(right, Some(Input::Wish(Wish::Node(1)))));
        assert!(matches!(input(&Event::Resize(80, 24)), Some(Input::Resized)));
    }
}
