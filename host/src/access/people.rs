//! What users and groups of this machine are called.
//!
//! Asks the two files alone and no directory service: a user that they do not name is called by number.

/// `ann`, or `uid 1000` where the machine's file names none.
#[must_use]
pub fn user(uid: u32) -> String {
    let file = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    named(&file, uid).map_or_else(|| format!("uid {uid}"), str::to_owned)
}

/// The number of a group; itself where it is one.
#[must_use]
pub fn group(name: &str) -> Option<u32> {
    if let Ok(gid) = name.parse() {
        return Some(gid);
    }
    let file = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let fields = |line: &str| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
    };
    file.lines().find_map(fields)
}

/// The name that a file of users has for a number.
fn named(file: &str, uid: u32) -> Option<&str> {
    file.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_have_names_or_numbers() {
        let file = "root:x:0:0::/:/bin/sh\n\nbroken\n:x:7:\nann:x:1000:100::/home/ann:\n";
        assert_eq!(named(file, 1000), Some("ann"));
        assert_eq!(named(file, 7), None);
        assert_eq!(named(file, 100), None);
        assert_eq!(group("0"), Some(0));
        assert_eq!(group("a group that is not there"), None);
    }
}
