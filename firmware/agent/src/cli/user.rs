//! `cloudy user …`: over the local socket, so also for who forgot the password.

use super::{Local, say, text};
use crate::http::encode;
use crate::http::{NewPassword, NewRole, NewToken, NewUser};
use crate::users::{Role, Scope};
use anyhow::{Context, Result, ensure};
use clap::Subcommand;
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;

/// `cloudy user`.
#[derive(clap::Args)]
pub struct UserArgs {
    #[command(subcommand)]
    verb: UserVerb,
}

#[derive(Subcommand)]
enum UserVerb {
    /// Show the code with which a node that nobody owns is claimed on its page.
    ClaimCode(Local),
    /// List the users.
    List(Local),
    /// Add a user. The password is read from the standard input, or from a file.
    Add {
        /// The name.
        name: String,
        /// What the person is here.
        #[arg(long, value_enum, default_value = "operator")]
        role: Role,
        #[command(flatten)]
        password: Given,
        #[command(flatten)]
        local: Local,
    },
    /// Remove a user, with sessions and tokens.
    Remove(Named),
    /// Give a user another role. All sessions of that person end.
    Role {
        /// The user.
        name: String,
        /// The new role.
        #[arg(value_enum)]
        role: Role,
        #[command(flatten)]
        local: Local,
    },
    /// Give a user another password, without the old one. All sessions of that person end.
    Password {
        /// The user.
        name: String,
        #[command(flatten)]
        password: Given,
        #[command(flatten)]
        local: Local,
    },
    /// Make a token for a program of a user; it is shown this once.
    Token {
        /// The user, who lends the program no more than the own rights.
        name: String,
        /// What the program may.
        #[arg(long, value_enum, default_value = "read")]
        scope: Scope,
        /// What it is for.
        #[arg(long, default_value = "")]
        label: String,
        #[command(flatten)]
        local: Local,
    },
    /// List a user's tokens.
    Tokens(Named),
    /// Take a token back.
    Revoke {
        /// The user.
        name: String,
        /// The token's number.
        id: u64,
        #[command(flatten)]
        local: Local,
    },
}

#[derive(clap::Args)]
struct Named {
    /// The user.
    name: String,
    #[command(flatten)]
    local: Local,
}

#[derive(clap::Args)]
struct Given {
    /// A file whose first line is the password: what stands in a command can be seen by others.
    #[arg(long, value_name = "FILE")]
    password_from: Option<PathBuf>,
}

impl Given {
    /// Where one JSON value is to be printed, nothing else is.
    fn read(&self, local: &Local) -> Result<String> {
        let mut line = String::new();
        match &self.password_from {
            Some(path) => {
                let all = std::fs::read_to_string(path).with_context(|| format!("reading `{}`", path.display()))?;
                all.lines().next().unwrap_or_default().clone_into(&mut line);
            }
            None => {
                if std::io::stdin().is_terminal() && !local.json {
                    say("Type the password and press Enter (it is shown; --password-from FILE reads it from a file):");
                }
                std::io::stdin().lock().read_line(&mut line).context("reading the password from the standard input")?;
            }
        }
        let password = line.trim_end_matches(['\r', '\n']).to_owned();
        ensure!(!password.is_empty(), "no password was given: type it, or name a file with --password-from");
        Ok(password)
    }
}

fn at(name: &str) -> String {
    format!("/api/v1/users/{}", encode(name))
}

impl UserArgs {
    /// Does what was asked.
    ///
    /// # Errors
    /// The agent does not answer, or refuses.
    pub async fn run(self) -> Result<()> {
        match self.verb {
            UserVerb::ClaimCode(local) => local.show(&local.client().get("/api/v1/claim-code").await?, |answer| {
                Ok(format!("{}\nNext: open this node's page and claim it with that code.", text(answer, "code")))
            }),
            UserVerb::List(local) => local.show(&local.client().list("/api/v1/users", "users").await?, list),
            UserVerb::Add { name, role, password, local } => {
                let new = NewUser { name: name.clone(), role, password: password.read(&local)? };
                let answer = local.client().post("/api/v1/users", &new).await?;
                local.show(&answer, |_| Ok(format!("`{name}` can log in on this node's page now.")))
            }
            UserVerb::Remove(Named { name, local }) => {
                local.show(&local.client().delete(&at(&name)).await?, |_| Ok(format!("`{name}` is no user any more.")))
            }
            UserVerb::Role { name, role, local } => {
                let answer = local.client().put(&format!("{}/role", at(&name)), &NewRole { role }).await?;
                local.show(&answer, |answer| Ok(format!("`{name}` is {} now, and logs in anew.", text(answer, "role"))))
            }
            UserVerb::Password { name, password, local } => {
                let new = NewPassword { password: password.read(&local)? };
                let answer = local.client().put(&format!("{}/password", at(&name)), &new).await?;
                local.show(&answer, |_| Ok(format!("`{name}` logs in with the new password.")))
            }
            UserVerb::Token { name, scope, label, local } => {
                let answer = local.client().post(&format!("{}/tokens", at(&name)), &NewToken { scope, label }).await?;
                local.show(&answer, |answer| {
                    Ok(format!("{}\nIt is shown this once. Use it as: Authorization: Bearer TOKEN", text(answer, "token")))
                })
            }
            UserVerb::Tokens(Named { name, local }) => {
                local.show(&local.client().list(&format!("{}/tokens", at(&name)), "tokens").await?, tokens)
            }
            UserVerb::Revoke { name, id, local } => {
                let answer = local.client().delete(&format!("{}/tokens/{id}", at(&name))).await?;
                local.show(&answer, |_| Ok(format!("Token {id} opens nothing any more.")))
            }
        }
    }
}

fn list(answer: &Value) -> Result<String> {
    let mut out = String::new();
    for user in answer.get("users").and_then(Value::as_array).into_iter().flatten() {
        writeln!(out, "{:<32} {}", text(user, "name"), text(user, "role"))?;
    }
    Ok(if out.is_empty() {
        "There are no users. Next: `cloudy user claim-code`, or `cloudy user add NAME --role owner`".to_owned()
    } else {
        out
    })
}

fn tokens(answer: &Value) -> Result<String> {
    let mut out = String::new();
    for token in answer.get("tokens").and_then(Value::as_array).into_iter().flatten() {
        let id = token.get("id").and_then(Value::as_u64).unwrap_or_default();
        writeln!(out, "{id:>4} {:<6} {}", text(token, "scope"), text(token, "label"))?;
    }
    Ok(if out.is_empty() { "None. Next: `cloudy user token NAME`".to_owned() } else { out })
}
