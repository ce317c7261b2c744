//! The terminal while `watch` has it: given back whatever happens.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc;

use super::draw::{WatchView, draw};

/// So long the end waits for the thread that reads keys, at most.
const KEYS_POLLED: Duration = Duration::from_millis(100);

/// What the person at the terminal wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScreenOrder {
    Quit,
    /// The screen has another size.
    Redraw,
}

/// The whole terminal, with its keys. As long as it lives; dropped, or at a panic, the terminal is as it was.
pub(super) struct Screen {
    terminal: DefaultTerminal,
    is_over: Arc<AtomicBool>,
    keys: Option<JoinHandle<()>>,
}

impl Screen {
    /// Takes the terminal. The orders end when it can be read no more.
    pub(super) fn open() -> io::Result<(Self, mpsc::Receiver<ScreenOrder>)> {
        // Sets a hook that gives the terminal back before a panic is said.
        let terminal = ratatui::try_init().inspect_err(|_| ratatui::restore())?;
        let mut screen = Self { terminal, is_over: Arc::default(), keys: None };
        let (order, orders) = mpsc::channel(8);
        let is_over = screen.is_over.clone();
        // Reading a terminal blocks.
        let keys = thread::Builder::new().name("keys".into()).spawn(move || read_keys(&is_over, &order));
        screen.keys = Some(keys?);
        Ok((screen, orders))
    }

    /// Shows the picture.
    pub(super) fn show(&mut self, view: &WatchView<'_>) -> io::Result<()> {
        self.terminal.draw(|frame| draw(view, frame.area(), frame.buffer_mut())).map(|_| ())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        // What is typed from now on belongs to the shell.
        if let Some(keys) = self.keys.take() {
            let _ = keys.join();
        }
        ratatui::restore();
    }
}

/// Until the screen is over, the other side is gone, or the terminal is.
fn read_keys(is_over: &AtomicBool, to: &mpsc::Sender<ScreenOrder>) {
    while !is_over.load(Ordering::Acquire) {
        let order = match event::poll(KEYS_POLLED) {
            Ok(false) => None,
            Ok(true) => match event::read() {
                Ok(event) => order_of(&event),
                Err(_) => return,
            },
            Err(_) => return,
        };
        // With eight of them waiting, one more says nothing new.
        if order.is_some_and(|order| matches!(to.try_send(order), Err(mpsc::error::TrySendError::Closed(_)))) {
            return;
        }
    }
}

/// In raw mode Ctrl-C is a key and no signal.
fn order_of(event: &Event) -> Option<ScreenOrder> {
    match event {
        Event::Resize(..) => Some(ScreenOrder::Redraw),
        Event::Key(KeyEvent { kind: KeyEventKind::Release, .. }) => None,
        Event::Key(KeyEvent { code: KeyCode::Char('q' | 'Q') | KeyCode::Esc, .. }) => Some(ScreenOrder::Quit),
        Event::Key(KeyEvent { code: KeyCode::Char('c'), modifiers, .. })
            if modifiers.contains(KeyModifiers::CONTROL) =>
        {
            Some(ScreenOrder::Quit)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: KeyCode, modifiers: KeyModifiers, order: Option<ScreenOrder>) {
        assert_eq!(order_of(&Event::Key(KeyEvent::new(code, modifiers))), order);
    }

    #[test]
    fn what_ends_it() {
        check(KeyCode::Char('q'), KeyModifiers::NONE, Some(ScreenOrder::Quit));
        check(KeyCode::Esc, KeyModifiers::NONE, Some(ScreenOrder::Quit));
        check(KeyCode::Char('c'), KeyModifiers::CONTROL, Some(ScreenOrder::Quit));
        check(KeyCode::Char('c'), KeyModifiers::NONE, None);
        check(KeyCode::Char('x'), KeyModifiers::NONE, None);
        assert_eq!(order_of(&Event::Resize(80, 24)), Some(ScreenOrder::Redraw));
    }
}
