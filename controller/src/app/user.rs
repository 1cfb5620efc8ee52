//! Users. The first one is made with the setup code; more come with roles.

use windflow_kit::Secret;
use windflow_model::{Code, OrgId, org::User};
use windflow_store::{Expect, Txn};

use super::{
    App, AppError, AppResult,
    db::{create, hold, put},
    keys,
    records::{NameHolder, UserRecord},
};
use crate::{
    auth::{limit::Limit, password},
    context::OpContext,
};

impl App {
    /// Whether the first user still has to be made.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn setup_needed(&self) -> AppResult<bool> {
        let done = self.store().get(&keys::setup_done()).await;
        Ok(done.map_err(AppError::store("setup_status"))?.is_none())
    }

    /// Makes the first administrator. Of several at once exactly one succeeds.
    ///
    /// # Errors
    /// A wrong or expired code, set-up already done, or a name or password that is not acceptable.
    pub async fn setup_create(
        &self,
        op: &OpContext,
        code: &str,
        name: &str,
        secret: Secret<String>,
    ) -> AppResult<User> {
        const OP: &str = "setup_create";
        self.limited(Limit::Setup, address(&op.remote))?;
        if !self.setup_needed().await? {
            return Err(AppError::refused(
                Code::SetupDone,
                "set-up is done: a user exists already",
            ));
        }
        if !self.setup().fits(code) {
            self.audit(op, OP, "setup", "refused: wrong or expired code")
                .await?;
            return Err(AppError::refused(
                Code::SetupCode,
                "the setup code is wrong or has expired",
            ));
        }
        let name = user_name(name)?;
        password_rules(secret.expose(), &name)?;
        let user = User {
            id: self.new_user_id()?,
            org: op.org,
            name,
            created_at: self.now(),
        };
        let record = UserRecord {
            password: self.0.passwords.hash(self.random(), secret).await?,
            user: user.clone(),
        };
        let txn = Txn::new().create(keys::setup_done(), Vec::new());
        let txn = create(txn, OP, keys::user(op.org, user.id), &record)?;
        let txn = hold(txn, OP, keys::user_name(op.org, &fold(&user.name)), user.id)?;
        let by = OpContext {
            user: user.id,
            user_name: user.name.clone(),
            ..op.clone()
        };
        let txn = self.audited(txn, &by, OP, user.id, "first administrator")?;
        match self.commit(OP, txn).await {
            Ok(_) => {}
            Err(error) if error.wants_fresh_read() => {
                return Err(AppError::refused(
                    Code::SetupDone,
                    "set-up is done: a user exists already",
                ));
            }
            Err(error) => return Err(error),
        }
        self.setup().forget();
        tracing::info!(user = %user.id, "first administrator made; the setup code is void");
        Ok(user)
    }

    /// The user with this name and password.
    ///
    /// # Errors
    /// The same refusal whether the name or the password is wrong; too many tries.
    pub async fn user_verify(&self, op: &OpContext, name: &str, secret: Secret<String>) -> AppResult<User> {
        const OP: &str = "session_create";
        let name = fold(name);
        self.limited(Limit::LoginAddress, address(&op.remote))?;
        self.limited(Limit::LoginName, &name)?;
        // An over-long password costs nothing: it cannot be right.
        let plausible = secret.expose().chars().count() <= *password::LENGTH.end();
        let user = if plausible {
            self.user_named(op.org, &name).await?
        } else {
            None
        };
        let phc = user.as_ref().map(|user| user.password.clone());
        let right = self.0.passwords.verify(secret, phc).await?;
        match user.filter(|_| right) {
            Some(user) => {
                self.limits().forgive(Limit::LoginName, &name);
                Ok(user.user)
            }
            None => {
                self.audit(op, OP, "user", format!("refused: {}", one_line(&name)))
                    .await?;
                Err(AppError::refused(
                    Code::Unauthenticated,
                    "user name or password is wrong",
                ))
            }
        }
    }

    async fn user_named(&self, org: OrgId, name: &str) -> AppResult<Option<UserRecord>> {
        const OP: &str = "session_create";
        let holder = self.find::<NameHolder>(OP, &keys::user_name(org, name)).await?;
        let Some(id) = holder.and_then(|holder| holder.value.id.parse().ok()) else {
            return Ok(None);
        };
        let user = self.find::<UserRecord>(OP, &keys::user(org, id)).await?;
        Ok(user.map(|entry| entry.value))
    }

    /// Sets a user's password anew, for whoever has the data directory.
    ///
    /// # Errors
    /// There is no such user, or the password is not acceptable.
    pub async fn user_password_set(
        &self,
        op: &OpContext,
        name: &str,
        secret: Secret<String>,
    ) -> AppResult<()> {
        const OP: &str = "user_password_set";
        let user = self.user_named(op.org, &fold(name)).await?;
        let mut user = user.ok_or_else(|| AppError::not_found(format!("user {name:?}")))?;
        password_rules(secret.expose(), &user.user.name)?;
        user.password = self.0.passwords.hash(self.random(), secret).await?;
        let key = keys::user(op.org, user.user.id);
        let txn = Txn::new().expect(key.clone(), Expect::Present);
        let txn = put(txn, OP, key, &user)?;
        let txn = self.audited(txn, op, OP, user.user.id, "")?;
        self.commit(OP, txn).await?;
        self.sessions_end(user.user.id).await
    }

    pub(crate) fn limited(&self, limit: Limit, who: &str) -> AppResult<()> {
        self.limits()
            .take(limit, who)
            .map_err(|wait| AppError::limited(format!("too many tries; wait {wait} s"), wait))
    }
}

/// The address without the port.
pub(crate) fn address(remote: &str) -> &str {
    remote.rsplit_once(':').map_or(remote, |(address, _)| address)
}

/// Names are compared without regard to case.
fn fold(name: &str) -> String {
    name.trim().to_lowercase()
}

fn one_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

fn user_name(text: &str) -> AppResult<String> {
    let name = text.trim();
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | '+');
    if (1..=64).contains(&name.chars().count()) && name.chars().all(fits) {
        Ok(name.to_owned())
    } else {
        Err(AppError::bad(
            "username: use 1 to 64 letters, digits and . _ - @ +, without blanks",
        ))
    }
}

fn password_rules(password: &str, name: &str) -> AppResult<()> {
    let count = password.chars().count();
    if !password::LENGTH.contains(&count) {
        return Err(AppError::bad(format!(
            "password: use {} to {} characters (15 or more are advised), this one has {count}",
            password::LENGTH.start(),
            password::LENGTH.end()
        )));
    }
    let plain = password.to_lowercase();
    let mut letters = plain.chars();
    let first = letters.next();
    let dull = letters.all(|letter| Some(letter) == first);
    if dull || plain == fold(name) || COMMON.contains(&plain.as_str()) {
        return Err(AppError::bad(
            "password: this one is among the first that are tried; choose another",
        ));
    }
    Ok(())
}

/// The commonest passwords of 8 letters and more.
const COMMON: &[&str] = &[
    "12345678",
    "123456789",
    "1234567890",
    "password",
    "password1",
    "password123",
    "qwertyuiop",
    "qwerty123",
    "iloveyou",
    "princess",
    "sunshine",
    "football",
    "baseball",
    "superman",
    "trustno1",
    "11111111",
    "87654321",
    "administrator",
    "changeme",
    "letmein1",
    "welcome1",
    "windflow",
    "adminadmin",
    "admin123",
    "passw0rd",
    "q1w2e3r4",
    "1q2w3e4r",
    "1qaz2wsx",
    "abcd1234",
    "asdfghjkl",
    "00000000",
    "starwars",
    "whatever",
    "computer",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_passwords() {
        let check = |result: AppResult<()>, says: &str| match result {
            Ok(()) => assert_eq!(says, ""),
            Err(error) => assert!(!says.is_empty() && error.to_string().contains(says), "{error}"),
        };
        check(user_name("admin").map(drop), "");
        check(user_name(" j.doe+ops@example.org ").map(drop), "");
        check(user_name("").map(drop), "1 to 64");
        check(user_name("a b").map(drop), "without blanks");
        check(user_name(&"x".repeat(65)).map(drop), "1 to 64");
        check(password_rules("correct horse", "admin"), "");
        check(password_rules("ünïcödé pass", "admin"), "");
        check(password_rules("short", "admin"), "8 to 256");
        check(password_rules(&"x1".repeat(129), "admin"), "8 to 256");
        check(password_rules("Password123", "admin"), "first that are tried");
        check(password_rules("aaaaaaaaaaaa", "admin"), "first that are tried");
        check(password_rules("Operators", "operators"), "first that are tried");
    }

    #[test]
    fn addresses_lose_their_port() {
        assert_eq!(address("10.0.0.1:443"), "10.0.0.1");
        assert_eq!(address("[::1]:443"), "[::1]");
        assert_eq!(address(""), "");
    }
}
