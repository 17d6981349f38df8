//! The user that the gatekeeper becomes.

use anyhow::{Context as _, anyhow, bail};
use nix::unistd::{Uid, User};

/// User and group, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user.
    pub user: u32,
    /// The group.
    pub group: u32,
}

impl Account {
    /// Looks up a name; a number needs no entry, and is its own group then.
    pub fn find(name: &str) -> anyhow::Result<Self> {
        let number = name.parse().ok().map(Uid::from_raw);
        let found = match number {
            Some(number) => User::from_uid(number),
            None => User::from_name(name),
        };
        let found =
            found.with_context(|| format!("cannot look up the user {name:?} (user in section [daemon])"))?;
        let account = match (found, number) {
            (Some(user), _) => Self {
                user: user.uid.as_raw(),
                group: user.gid.as_raw(),
            },
            (None, Some(number)) => Self {
                user: number.as_raw(),
                group: number.as_raw(),
            },
            (None, None) => {
                return Err(anyhow!(
                    "there is no user {name:?} for the process that talks to the network; make one by `useradd --system \
                     --user-group --no-create-home --shell /usr/sbin/nologin {name}`, or name another one by user in \
                     section [daemon]"
                ));
            }
        };
        if account.user == 0 || account.group == 0 {
            bail!("{name:?} is root; user in section [daemon] is for one without privileges");
        }
        Ok(account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let both = |number| Account {
            user: number,
            group: number,
        };
        assert_eq!(Account::find("3999999999").unwrap(), both(3_999_999_999));
        let nobody = Account::find("nobody").unwrap();
        assert_eq!(Account::find(&nobody.user.to_string()).unwrap(), nobody);
        for root in ["root", "0", "00"] {
            let error = Account::find(root).unwrap_err().to_string();
            assert!(error.contains("is root"), "{error}");
        }
        let error = Account::find("nobody-of-this-name").unwrap_err().to_string();
        assert!(
            error.contains("`useradd --system") && error.contains("nobody-of-this-name"),
            "{error}"
        );
    }
}
