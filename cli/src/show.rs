//! What people see while they wait, on stderr.

use std::fmt::Write;
use std::io::IsTerminal;
use std::time::Duration;

use console::Term;
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::args::When;

/// How often a spinner turns.
const TURN: Duration = Duration::from_millis(100);

/// How often the line is drawn at most.
const LINES_PER_S: u8 = 20;

/// The line that shows how far the command is.
pub(crate) struct Show {
    bar: ProgressBar,
}

impl Show {
    /// A line, or nothing: on a terminal, or always, or never. `quiet` means never.
    pub(crate) fn new(when: When, quiet: bool) -> Self {
        let wanted = match when {
            When::Auto => std::io::stderr().is_terminal() && !quiet,
            When::Always => true,
            When::Never => false,
        };
        let target = if wanted {
            // Not `ProgressDrawTarget::stderr()`, which looks for a terminal of its own accord, whatever was asked for.
            // At most so often: a picture has thousands of rows, and to draw the line for each took longer than to write them.
            ProgressDrawTarget::term_like_with_hz(Box::new(Term::buffered_stderr()), LINES_PER_S)
        } else {
            ProgressDrawTarget::hidden()
        };
        Show { bar: ProgressBar::with_draw_target(None, target) }
    }

    /// A phase of which nobody knows how far it is.
    pub(crate) fn wait(&self, doing: &'static str) {
        self.bar.unset_length();
        self.bar.set_style(style("{spinner} {msg} {elapsed}"));
        self.bar.set_message(doing);
        self.bar.enable_steady_tick(TURN);
    }

    /// A phase of `n_steps` equal `things` that together deal with `n_pixels`.
    pub(crate) fn steps(&self, doing: &'static str, things: &str, n_steps: u64, n_pixels: u64) {
        self.bar.disable_steady_tick();
        let pace = move |state: &ProgressState, out: &mut dyn Write| {
            // Nothing is known before the first step is done. A failure to write it is the terminal's affair.
            let pixels_per_step = n_pixels as f64 / state.len().unwrap_or(1).max(1) as f64;
            let _ = match state.pos() {
                0 => Ok(()),
                _ => write!(
                    out,
                    "{:>7.1} MP/s {:>4} left",
                    state.per_sec() * pixels_per_step / 1e6,
                    format!("{:#}", HumanDuration(state.eta()))
                ),
            };
        };
        let digits = n_steps.to_string().len(); // so that the line does not wobble
        let line =
            format!("{{msg}} [{{wide_bar}}] {{percent:>3}} %  {{pos:>{digits}}}/{{len}} {things}{{pace}}");
        self.bar.set_style(style(&line).with_key("pace", pace).progress_chars("=> "));
        self.bar.set_length(n_steps);
        self.bar.set_position(0);
        self.bar.reset_eta();
        self.bar.set_message(doing);
    }

    /// A phase of `n` files.
    pub(crate) fn files(&self, doing: &'static str, n: u64) {
        self.bar.disable_steady_tick();
        let pace = |state: &ProgressState, out: &mut dyn Write| {
            // Nothing is known before the first file is done. A failure to write it is the terminal's affair.
            let _ = match state.pos() {
                0 => Ok(()),
                _ => {
                    write!(
                        out,
                        "  {:.1}/s {:>4} left",
                        state.per_sec(),
                        format!("{:#}", HumanDuration(state.eta()))
                    )
                }
            };
        };
        let line = "{msg} [{wide_bar}] {percent:>3} %  {pos}/{len} files{pace}";
        self.bar.set_style(style(line).with_key("pace", pace).progress_chars("=> "));
        self.bar.set_length(n);
        self.bar.set_position(0);
        self.bar.reset_eta();
        self.bar.set_message(doing);
    }

    /// What takes the line away, from any thread.
    pub(crate) fn clearer(&self) -> impl Fn() + Send + use<> {
        let bar = self.bar.clone();
        move || bar.finish_and_clear()
    }

    /// How many steps are done, and of how many: a chain of several passes counts each by itself.
    pub(crate) fn at(&self, n_done: u64, n_steps: u64) {
        self.bar.set_length(n_steps);
        self.bar.set_position(n_done);
    }
}

impl Drop for Show {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates above are well-formed")
}
