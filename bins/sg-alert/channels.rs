//! The channels that the settings ask for, with their secrets.

use super::conf::Settings;
use sg::alert::{
    Channel, Channels, Configured, Login, Mail, Ping, Redactor, Route, Secret, Smtp, SmtpUrl, Step,
    Webhook,
};
use sg::{Error, Kind, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where most hosts have a program that takes mail.
const SENDMAIL: &str = "/usr/sbin/sendmail";

/// All channels of one application.
pub(crate) fn channels(settings: &Settings) -> Channels {
    Channels {
        mail: mail(settings).transpose().map(shared),
        webhook: webhook(settings).transpose().map(shared),
    }
}

fn shared<C: Channel + 'static>(channel: Result<C>) -> Result<Arc<dyn Channel>> {
    channel.map(|channel| Arc::new(channel) as Arc<dyn Channel>)
}

/// Where the channels of an application lead, for people.
pub(crate) fn names(channels: &Channels) -> Vec<String> {
    let name = |configured: &Configured| match configured {
        Some(Ok(channel)) => Some(channel.name()),
        Some(Err(error)) => Some(format!("unusable: {error}")),
        None => None,
    };
    [&channels.mail, &channels.webhook]
        .into_iter()
        .filter_map(name)
        .collect()
}

/// Knows the secrets of `settings`, to keep them out of what is sent. One that can't be read can't be
/// told either.
pub(crate) fn redactor(settings: &Settings) -> Redactor {
    let url = smtp_url(settings).ok().flatten();
    let password = password(settings, url.as_ref()).ok().flatten();
    let hook = webhook_url(settings).ok().flatten();
    let token = credential("webhook-token").ok().flatten();
    let switches = [Step::Driver, Step::Drill].map(|step| ping_url(settings, step).ok().flatten());
    let secrets = [password, hook, token].into_iter().chain(switches);
    Redactor::new(secrets.flatten())
}

/// Secrets that stand where others may see them.
pub(crate) fn exposed(settings: &Settings) -> Vec<&'static str> {
    ["SG_SMTP_PASSWORD", "SG_ALERT_WEBHOOK_URL"]
        .into_iter()
        .filter(|name| settings.hidden(name).is_some())
        .collect()
}

fn set(value: Option<&String>) -> Option<&String> {
    value.filter(|value| !value.trim().is_empty())
}

fn smtp_url(settings: &Settings) -> Result<Option<SmtpUrl>> {
    set(settings.args.smtp_url.as_ref())
        .map(|url| SmtpUrl::parse(url))
        .transpose()
}

fn mail(settings: &Settings) -> Result<Option<Mail>> {
    let args = &settings.args;
    let Some(to) = set(args.to.as_ref()) else {
        return Ok(None);
    };
    let url = smtp_url(settings)?;
    let password = password(settings, url.as_ref())?;
    let user = set(args.smtp_user.as_ref())
        .cloned()
        .or_else(|| url.as_ref()?.user.clone());
    let sendmail = args
        .sendmail
        .clone()
        .filter(|program| !program.as_os_str().is_empty());
    let server = match (&url, set(args.smtp_host.as_ref())) {
        (Some(url), _) => Some((url.host.clone(), args.smtp_port.or(url.port), url.tls)),
        (None, Some(host)) => Some((host.clone(), args.smtp_port, None)),
        (None, None) => None,
    };
    let route = match (server, sendmail) {
        (Some((host, port, tls)), _) => {
            let login = match (user.clone(), password) {
                (None, _) => None,
                (Some(user), Some(password)) => Some(Login { user, password }),
                (Some(user), None) => {
                    return Err(Error::new(
                        Kind::Config,
                        format!("there is no password for '{user}' at the mail server '{host}'"),
                    )
                    .with_hint(
                        "Give the unit the credential smtp-password, or name a file with SG_SMTP_PASSWORD_FILE.",
                    ));
                }
            };
            let tls = args.smtp_tls.map(Into::into).or(tls);
            Route::Smtp(Smtp::new(host, port, tls, login, args.ca.clone()))
        }
        (None, Some(program)) => Route::Sendmail(program),
        (None, None) if Path::new(SENDMAIL).exists() => Route::Sendmail(PathBuf::from(SENDMAIL)),
        (None, None) => {
            return Err(Error::new(
                Kind::Config,
                "SG_ALERT_TO is set, but no way to send mail is",
            )
            .with_hint("Set SG_SMTP_URL, or install a program that takes mail."));
        }
    };
    let from = set(args.from.as_ref())
        .cloned()
        .or_else(|| user.filter(|user| user.contains('@')))
        .unwrap_or_else(|| format!("sg-alert@{}", super::host()));
    let mail = Mail::new(&from, to, route)?;
    match set(args.escalate_to.as_ref()) {
        Some(beyond) => mail.escalating_to(beyond).map(Some),
        None => Ok(Some(mail)),
    }
}

fn password(settings: &Settings, url: Option<&SmtpUrl>) -> Result<Option<Secret>> {
    if let Some(path) = &settings.args.smtp_password_file {
        return Secret::file(path).map(Some);
    }
    Ok(credential("smtp-password")?
        .or_else(|| url?.password.clone())
        .or_else(|| settings.hidden("SG_SMTP_PASSWORD").map(Secret::new)))
}

fn webhook(settings: &Settings) -> Result<Option<Webhook>> {
    let Some(url) = webhook_url(settings)? else {
        return Ok(None);
    };
    let kind = settings.args.webhook_kind.map(Into::into);
    let token = credential("webhook-token")?;
    Webhook::new(&url, kind, token, settings.args.ca.clone()).map(Some)
}

fn webhook_url(settings: &Settings) -> Result<Option<Secret>> {
    if let Some(path) = &settings.args.webhook_url_file {
        return Secret::file(path).map(Some);
    }
    Ok(credential("webhook-url")?
        .or_else(|| settings.hidden("SG_ALERT_WEBHOOK_URL").map(Secret::new)))
}

/// The dead man's switch of what `step` belongs to, if it has one.
///
/// # Errors
/// Its URL can't be read, or is none.
pub(crate) fn ping(settings: &Settings, step: Step) -> Result<Option<Ping>> {
    ping_url(settings, step)?
        .map(|url| Ping::new(&url, settings.args.ca.clone()))
        .transpose()
}

/// Each application has switches of its own, so what its settings say outweighs what the unit was given.
fn ping_url(settings: &Settings, step: Step) -> Result<Option<Secret>> {
    let args = &settings.args;
    let (file, name, of_unit) = match step {
        Step::Driver => (&args.ping_url_file, "SG_PING_URL", "ping-url"),
        Step::Drill => (
            &args.drill_ping_url_file,
            "SG_DRILL_PING_URL",
            "drill-ping-url",
        ),
        _ => return Ok(None),
    };
    if let Some(path) = file {
        return Secret::file(path).map(Some);
    }
    match settings.hidden(name) {
        Some(url) => Ok(Some(Secret::new(url))),
        None => credential(of_unit),
    }
}

fn credential(name: &str) -> Result<Option<Secret>> {
    match std::env::var_os("CREDENTIALS_DIRECTORY") {
        Some(directory) => Secret::credential(Path::new(&directory), name),
        None => Ok(None),
    }
}
