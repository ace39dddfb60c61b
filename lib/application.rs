//! What one application is, as its settings say: for the programs that work on all of it.

use crate::error::{Error, Kind, Result};
use crate::settings::{Settings, Variables};
use std::fmt;
use std::path::{Path, PathBuf};

/// An application with its settings.
#[derive(Clone, Debug)]
pub struct Application {
    name: String,
    settings: Settings,
}

/// A directory tree with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// The name, which its backups bear.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

/// Something of an application that has backups.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// `globals`, `db`, `volume`, `config`, …
    pub kind: String,
    /// Its name, where the settings tell it.
    pub name: Option<String>,
}

impl Part {
    fn new(kind: &str, name: Option<&str>) -> Self {
        Self {
            kind: kind.to_owned(),
            name: name.map(str::to_owned),
        }
    }

    /// Whether a backup of this kind and name is one of it.
    pub fn is(&self, kind: &str, name: &str) -> bool {
        self.kind == kind && self.name.as_deref().is_none_or(|own| own == name)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{} '{name}'", self.kind),
            None => f.write_str(&self.kind),
        }
    }
}

impl Application {
    /// The application `name`, by the files in `directory`.
    ///
    /// # Errors
    /// It has no file there, or one can't be read.
    pub fn load(directory: &Path, name: &str) -> Result<Self> {
        if !is_name(name) {
            return Err(Error::new(
                Kind::Usage,
                format!("'{name}' is no application's name"),
            ));
        }
        let path = directory.join(format!("{name}.conf"));
        if !path.exists() {
            let message = format!(
                "there is no application '{name}': '{}' is missing",
                path.display()
            );
            return Err(Error::new(Kind::Config, message).with_hint(
                "Copy /usr/share/doc/sg-toolkit/examples/app.conf there, or bring the directory back from the newest config backup.",
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            settings: Settings::read(directory, Some(name), &Variables::new())?,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Everything that is set, also what is set to nothing.
    pub fn settings(&self) -> &Variables {
        self.settings.variables()
    }

    /// One setting; an empty one counts for nothing.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.settings.get(name)
    }

    /// A setting that lists words with blanks between.
    pub fn words(&self, name: &str) -> Vec<String> {
        let text = self.get(name).unwrap_or_default();
        text.split_whitespace().map(str::to_owned).collect()
    }

    /// A switch.
    pub fn is_on(&self, name: &str) -> bool {
        self.settings.is_on(name)
    }

    /// The store.
    pub fn store(&self) -> PathBuf {
        PathBuf::from(self.get("SG_DIRECTORY").unwrap_or("/var/backups/sg"))
    }

    /// All that is backed up of it, in the order in which it has to come back.
    ///
    /// # Errors
    /// A setting is wrong.
    pub fn parts(&self) -> Result<Vec<Part>> {
        let mut parts = Vec::new();
        if self.is_on("SG_GLOBALS") {
            parts.push(Part::new("globals", None));
        }
        if self.is_on("SG_ALL") {
            parts.push(Part::new("db", None));
        }
        for database in self.words("SG_DATABASE") {
            // A connection string has its name somewhere within.
            let name = (!database.contains(['=', '/'])).then_some(database.as_str());
            parts.push(Part::new("db", name));
        }
        let kind = self.get("SG_KIND").unwrap_or("volume");
        for volume in self.volumes()? {
            parts.push(Part::new(kind, Some(&volume.name)));
        }
        if let (Some(_), Some(name)) = (self.get("SG_PATH"), self.get("SG_NAME")) {
            parts.push(Part::new(kind, Some(name)));
        }
        if !self.config_paths()?.is_empty() {
            parts.push(Part::new("config", Some(&self.name)));
        }
        Ok(parts)
    }

    /// Its directory trees.
    ///
    /// # Errors
    /// They are not written as `NAME=PATH`.
    pub fn volumes(&self) -> Result<Vec<Volume>> {
        let wrong = |reason| Error::new(Kind::Config, format!("SG_VOLUMES is wrong: {reason}"));
        self.get("SG_VOLUMES")
            .map_or(Ok(Vec::new()), |text| volumes(text).map_err(wrong))
    }

    /// The files and directories that its configuration is.
    ///
    /// # Errors
    /// They are not written as absolute paths.
    pub fn config_paths(&self) -> Result<Vec<PathBuf>> {
        let wrong =
            |reason| Error::new(Kind::Config, format!("SG_CONFIG_PATHS is wrong: {reason}"));
        self.get("SG_CONFIG_PATHS")
            .map_or(Ok(Vec::new()), |text| paths(text).map_err(wrong))
    }
}

/// Whether systemd and we could call an application so.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('/') && !name.starts_with(['.', '-'])
}

/// Takes `NAME=PATH NAME=PATH …` apart. A blank parts two volumes only where a name and a `=` follow, so
/// that paths may have blanks.
///
/// # Errors
/// What is wrong with it.
pub fn volumes(text: &str) -> Result<Vec<Volume>, String> {
    let mut volumes = Vec::<Volume>::new();
    for word in text.trim().split(char::is_whitespace) {
        match (word.split_once('='), volumes.last_mut()) {
            (Some((name, path)), _) if !name.is_empty() && !name.contains('/') => {
                volumes.push(Volume {
                    name: name.to_owned(),
                    path: path.into(),
                });
            }
            // Where there are several blanks in a row.
            (None, Some(_)) if word.is_empty() => {}
            (_, Some(Volume { path, .. })) => {
                let path = path.as_mut_os_string();
                path.push(" ");
                path.push(word);
            }
            (_, None) => return Err("write it as NAME=PATH".to_owned()),
        }
    }
    match volumes
        .iter()
        .find(|volume| volume.path.as_os_str().is_empty())
    {
        Some(Volume { name, .. }) => Err(format!("'{name}' has no path: write it as NAME=PATH")),
        None => Ok(volumes),
    }
}

/// Takes `/PATH /PATH …` apart. A blank parts two paths only where a `/` follows.
///
/// # Errors
/// What is wrong with it.
pub fn paths(text: &str) -> Result<Vec<PathBuf>, String> {
    let mut paths = Vec::<PathBuf>::new();
    for word in text.split_whitespace() {
        match paths.last_mut() {
            _ if word.starts_with('/') => paths.push(word.into()),
            Some(path) => {
                let path = path.as_mut_os_string();
                path.push(" ");
                path.push(word);
            }
            None => return Err(format!("'{word}' does not begin with /")),
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn volumes_are_told_apart() {
        let told = |text: &str| -> Vec<(String, PathBuf)> {
            let volumes = volumes(text).unwrap().into_iter();
            volumes.map(|volume| (volume.name, volume.path)).collect()
        };
        assert_eq!(told("a=/x"), [("a".into(), "/x".into())]);
        assert_eq!(
            told(" a=/x  b=/y z\n c=/x=1/k=v "),
            [
                ("a".into(), "/x".into()),
                ("b".into(), "/y z".into()),
                ("c".into(), "/x=1/k=v".into())
            ]
        );
        for text in ["", "/x", "=/x", "a=", "a= b=/x", "/x a=/y"] {
            assert!(volumes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn paths_are_told_apart() {
        let told = |text: &str| paths(text).unwrap();
        assert_eq!(
            told(" /etc/sg\n/srv/a b/.env "),
            [PathBuf::from("/etc/sg"), PathBuf::from("/srv/a b/.env")]
        );
        assert_eq!(told(" "), Vec::<PathBuf>::new());
        assert!(paths("etc/sg").is_err());
    }

    #[test]
    fn what_stands_in_the_file_of_an_application_outweighs_the_rest() {
        let directory = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| fs::write(directory.path().join(file), text).unwrap();
        write(
            "sg.conf",
            "SG_DIRECTORY=/store\nSG_KEEP_DAILY=7\nSG_GLOBALS=yes\n",
        );
        write(
            "shop.conf",
            "SG_KEEP_DAILY=\nSG_DATABASE=\"a b\"\nSG_GLOBALS=no\n",
        );
        let shop = Application::load(directory.path(), "shop").unwrap();
        assert_eq!(shop.store(), Path::new("/store"));
        assert_eq!(shop.get("SG_KEEP_DAILY"), None);
        assert_eq!(shop.words("SG_DATABASE"), ["a", "b"]);
        assert!(!shop.is_on("SG_GLOBALS"));
        for name in ["absent", "", "../shop", ".shop", "-x"] {
            assert!(Application::load(directory.path(), name).is_err(), "{name}");
        }
    }
}
