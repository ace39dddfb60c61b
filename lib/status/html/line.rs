//! The line of one application on the page: its state, and its figures in few words.

use super::application::Place;
use super::{chart, escaped};
use crate::catalog::Backup;
use crate::status::facts::{Application, Source, took};
use crate::status::report::Verdict;
use crate::status::words::{age, brief, exact, seconds, size};
use jiff::Timestamp;
use std::fmt::Write;

/// So many runs are drawn.
const RUNS: usize = 20;

/// Writes it. Whether it is `judged` depends on there being something to back up.
pub(super) fn render(
    page: &mut String,
    application: &Application,
    verdict: &Verdict,
    judged: bool,
    place: &Place<'_>,
) {
    let now = place.now();
    let state = if judged {
        verdict.level.word()
    } else {
        "not judged"
    };
    let about = match &application.timer {
        _ if !judged && application.configured => "nothing to back up".to_owned(),
        _ if !judged => "no longer configured".to_owned(),
        Some(timer) if timer.next.is_some_and(|next| next > now) => {
            let next = timer.next.unwrap_or(now).duration_since(now);
            format!("next run in {}", brief(next))
        }
        _ => names(application),
    };
    let _ = write!(
        page,
        "<span class=dot></span><div class=name><h3>{}<span class=vh>, {state}</span></h3><small class=soft>{about}</small></div>",
        escaped(application.title()),
    );
    if !judged {
        let bytes = application.sources.iter().map(Source::bytes).sum();
        let _ = write!(
            page,
            "<div class=cell>{}<small>kept</small></div>",
            size(bytes)
        );
        return;
    }
    newest(page, application, now);
    sizes(page, application);
    proofs(page, application, now);
    recovery(page, application, now);
}

/// What is backed up, by its kinds.
fn names(application: &Application) -> String {
    let kinds: std::collections::BTreeSet<&str> = application
        .wanted()
        .map(|source| source.kind.as_str())
        .collect();
    escaped(&kinds.into_iter().collect::<Vec<_>>().join(", "))
}

fn newest(page: &mut String, application: &Application, now: Timestamp) {
    let goals = &application.goals;
    let Some(newest) = application.newest() else {
        page.push_str("<div class=\"cell critical\"><span class=bad>no backup</span><small>of one source or more</small></div>");
        return;
    };
    let old = now.duration_since(newest);
    let allowed = goals.rpo.unwrap_or(goals.limit);
    let class = if old > goals.limit {
        "critical"
    } else if old > allowed {
        "warning"
    } else {
        "ok"
    };
    let _ = write!(
        page,
        "<div class=\"cell {class}\">{} old{}<small>may be {}</small></div>",
        brief(old),
        meter(old.as_secs_f64() / allowed.as_secs_f64()),
        brief(allowed),
    );
}

fn meter(part: f64) -> String {
    format!(
        "<span class=meter><i style=\"width:{:.0}%\"></i></span>",
        (part * 100.0).clamp(2.0, 100.0)
    )
}

fn sizes(page: &mut String, application: &Application) {
    let wanted: Vec<&Source> = application.wanted().collect();
    let each: Vec<Vec<u64>> = wanted
        .iter()
        .map(|source| {
            good(source)
                .rev()
                .take(RUNS)
                .map(|backup| backup.bytes)
                .collect()
        })
        .collect();
    let runs = each.iter().map(Vec::len).min().unwrap_or(0);
    let sums: Vec<f64> = (0..runs)
        .rev()
        .map(|run| each.iter().map(|sizes| sizes[run] as f64).sum())
        .collect();
    let took = wanted
        .iter()
        .filter_map(|source| took(source.newest()?))
        .reduce(|all, one| all + one);
    let _ = write!(
        page,
        "<div class=cell><div class=row><div>{}<small>{}</small></div>{}</div></div>",
        size(application.size()),
        took.map(|took| format!("in {}", exact(took)))
            .unwrap_or_default(),
        chart::sparkline(&sums),
    );
}

fn good(source: &Source) -> impl DoubleEndedIterator<Item = &Backup> {
    source
        .backups
        .iter()
        .filter(|backup| backup.state.is_good())
}

fn proofs(page: &mut String, application: &Application, now: Timestamp) {
    let since = |time: Option<Timestamp>, what: &str, never: &str| match time {
        Some(time) => format!("{what} {} ago", age(time, now)),
        None => never.to_owned(),
    };
    let _ = write!(
        page,
        "<div class=cell>{}<small>{}</small></div>",
        since(application.newest_verified(), "verified", "not verified"),
        since(
            application.newest_proven(),
            "proven",
            "never restored for proof"
        ),
    );
}

fn recovery(page: &mut String, application: &Application, now: Timestamp) {
    let Some(last) = application.drills.last() else {
        page.push_str("<div class=cell>no drill<small>recovery not measured</small></div>");
        return;
    };
    let when = format!("drill {} ago: {}", age(last.at, now), last.outcome.words());
    let goal = application.goals.rto;
    let _ = match (last.recovery, goal) {
        (Some(recovery), Some(goal)) => {
            let part = recovery / goal.as_secs_f64();
            let class = if part > 1.0 { "critical" } else { "ok" };
            write!(
                page,
                "<div class=\"cell {class}\">{} of {}{}<small>{when}</small></div>",
                seconds(recovery),
                exact(goal),
                meter(part)
            )
        }
        (Some(recovery), None) => write!(
            page,
            "<div class=cell>back in {}<small>{when}</small></div>",
            seconds(recovery)
        ),
        (None, _) => write!(
            page,
            "<div class=cell>not measured<small>{when}</small></div>"
        ),
    };
}
