//! What an instance is made of, and what an upgrade wants of it: the application and its
//! extensions, each with a version of its own.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ids::{ExtensionName, InvalidIdError, Version};

/// The name that stands for the application itself; no extension may have it.
pub const APPLICATION: &str = "application";

/// Something of an instance that has a version. Ordered: the application first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Component {
    /// What the instance runs.
    Application,
    /// Something installed beside it.
    Extension(ExtensionName),
}

impl Component {
    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Application => APPLICATION,
            Self::Extension(name) => name.as_str(),
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for Component {
    type Error = InvalidIdError;
    fn try_from(text: String) -> Result<Self, InvalidIdError> {
        if text == APPLICATION {
            Ok(Self::Application)
        } else {
            ExtensionName::parse(&text).map(Self::Extension)
        }
    }
}

impl From<Component> for String {
    fn from(component: Component) -> Self {
        component.as_str().to_owned()
    }
}

/// One component, and the version that is wanted of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Change {
    /// Which.
    pub component: Component,
    /// The version.
    pub to: Version,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.component {
            Component::Application => write!(f, "{}", self.to),
            Component::Extension(name) => write!(f, "{name}={}", self.to),
        }
    }
}

/// What an upgrade brings to each instance: changes of different components, in the order in which
/// an instance gets them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Goal(Vec<Change>);

impl Goal {
    /// The application and nothing else.
    #[must_use]
    pub fn application(to: Version) -> Self {
        Self(vec![Change { component: Component::Application, to }])
    }

    /// These changes; of several for one component the last one counts.
    #[must_use]
    pub fn new(changes: impl IntoIterator<Item = Change>) -> Self {
        let mut goal: Vec<Change> = Vec::new();
        for change in changes {
            match goal.iter_mut().find(|known| known.component == change.component) {
                Some(known) => *known = change,
                None => goal.push(change),
            }
        }
        Self(goal)
    }

    /// In order.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.0.iter()
    }

    /// What it wants of a component.
    #[must_use]
    pub fn of(&self, component: &Component) -> Option<&Version> {
        self.0.iter().find(|change| change.component == *component).map(|change| &change.to)
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changes: Vec<String> = self.0.iter().map(Change::to_string).collect();
        f.write_str(&changes.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_reads_as_people_say_it() {
        let change = |component: &str, to: &str| Change {
            component: Component::try_from(component.to_owned()).unwrap(),
            to: Version::parse(to).unwrap(),
        };
        let goal =
            Goal::new([change("application", "v2"), change("monitoring", "1"), change("monitoring", "1.3")]);
        assert_eq!(goal.to_string(), "v2, monitoring=1.3");
        assert_eq!(goal.of(&Component::Application).map(Version::as_str), Some("v2"));
        assert!(Component::try_from("a b".to_owned()).is_err());
    }
}
