//! `cargo xtask board new FAMILY NAME`: a board file to fill in.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand};

use crate::board::{Catalog, schema};
use crate::trees::{Trees, command};

/// Where boards lie in a tree.
const FOLDER: &str = "board-configs";
/// The schema of all its files, in that folder.
const SCHEMA: &str = "schema.json";
/// Begins the line that tells editors where a file's schema is.
const SCHEMA_WORD: &str = "#:schema";
/// Values of a family that are longer than this are not repeated in a board's file.
const SHOWN_VALUE_MAX_CHARS: usize = 100;

/// Works on the files of boards.
#[derive(Args)]
pub struct BoardVerb {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Writes a board file to fill in.
    New(New),
}

/// Writes a board file to fill in.
#[derive(Args)]
struct New {
    /// The family, a folder of board-configs.
    family: String,
    /// The board's name: what will be typed.
    name: String,
    /// One line for people.
    #[arg(long)]
    title: Option<String>,
    /// The family is new; its facts begin as those of this board's family.
    #[arg(long, value_name = "BOARD")]
    like: Option<String>,
}

impl BoardVerb {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        let What::New(new) = self.what;
        let repo = super::root()?;
        let trees = Trees::of(&repo);
        for path in new.write(&trees)? {
            println!("{}", path.strip_prefix(&repo).unwrap_or(&path).display());
        }
        match trees.catalog() {
            Ok(_) => println!("\nNext: fill it in, then {}, and {}", command("boards"), command(&format!("plan {}", new.name))),
            Err(missing) => println!("\nstill to be said: {missing}\nNext: fill it in, then {}", command("boards")),
        }
        Ok(())
    }
}

impl New {
    /// Writes the files into the tree that was named last, else into the checkout. Which ones were written.
    fn write(&self, trees: &Trees) -> Result<Vec<PathBuf>> {
        let files = self.plan(trees, &trees.catalog()?)?;
        let tree = trees.added().last().map_or(trees.root(0), PathBuf::as_path);
        let mut written = Vec::new();
        for (path, text) in &files {
            let full = tree.join(path);
            let doing = || format!("failed to write `{}`", full.display());
            let folder = full.parent().with_context(doing)?;
            std::fs::create_dir_all(folder).with_context(doing)?;
            // Never over a file that is there.
            std::fs::File::create_new(&full)
                .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
                .with_context(doing)?;
            written.push(full);
        }
        // The checkout's is committed, and a test holds it to the code.
        if !trees.added().is_empty() {
            written.extend(write_schema(&tree.join(FOLDER))?);
        }
        Ok(written)
    }

    /// The files to write, relative to the tree.
    fn plan(&self, trees: &Trees, catalog: &Catalog) -> Result<Vec<(PathBuf, String)>> {
        for name in [&self.family, &self.name] {
            let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
            ensure!(
                plain && name.starts_with(|first: char| first.is_ascii_lowercase()) && !name.ends_with('-'),
                "`{name}` can't be a name: it begins with a letter (a to z), then letters, digits and hyphens"
            );
        }
        ensure!(self.name != "family", "`family.toml` is what the boards of a family share: call the board otherwise");
        if let Some(there) = catalog.boards.iter().find(|board| board.name == self.name) {
            bail!(
                "there is a board called `{}` already: {}",
                self.name,
                there.files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
            );
        }
        let folder = Path::new(FOLDER).join(&self.family);
        let own = folder.join("family.toml");
        let mut files = Vec::new();
        let read = |path: &Path| trees.roots().iter().find_map(|root| std::fs::read_to_string(root.join(path)).ok());
        let family = match (read(&own), &self.like) {
            (Some(_), Some(_)) => bail!("the family `{}` is there already: leave --like out, or name another family", self.family),
            (Some(text), None) => text,
            (None, Some(like)) => {
                let like = catalog.board(like)?;
                let source = like.files.first().context("the board has no family file")?;
                let text = read(source).with_context(|| format!("failed to read `{}`", source.display()))?;
                files.push((own.clone(), family_file(source, &text)));
                text
            }
            (None, None) => {
                let mut known: Vec<&str> = catalog.boards.iter().map(|board| board.family.as_str()).collect();
                known.dedup();
                bail!(
                    "there is no family `{}`; there are: {}. A new one begins as a copy: add --like BOARD, the board that is nearest to yours",
                    self.family,
                    known.join(", ")
                );
            }
        };
        let title = self.title.clone().unwrap_or_else(|| format!("{}: say in one line what it is", self.name));
        files.push((folder.join(format!("{}.toml", self.name)), board_file(&family, &title)?));
        Ok(files)
    }
}

/// A new family's file: that of another family, which has the line for editors or has it not.
fn family_file(source: &Path, text: &str) -> String {
    let begun = format!("# Begun as a copy of {}: change what differs, and what this line says.", source.display());
    let facts: String = text.split_inclusive('\n').filter(|line| !line.starts_with(SCHEMA_WORD)).collect();
    format!("{SCHEMA_WORD} ../{SCHEMA}\n{begun}\n{facts}")
}

/// Writes the schema that the files of an added tree name, unless it is there as it is now. Which file was written.
fn write_schema(folder: &Path) -> Result<Option<PathBuf>> {
    let path = folder.join(SCHEMA);
    let text = schema::text(&schema::board());
    if std::fs::read_to_string(&path).is_ok_and(|there| there == text) {
        return Ok(None);
    }
    let doing = || format!("failed to write `{}`", path.display());
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    let mut aside = tempfile::Builder::new().permissions(readable).tempfile_in(folder).with_context(doing)?;
    std::io::Write::write_all(&mut aside, text.as_bytes()).with_context(doing)?;
    aside.persist(&path).map_err(|error| error.error).with_context(doing)?;
    Ok(Some(path))
}

/// A board file: its title, and the family's short values to change where the board differs.
fn board_file(family: &str, title: &str) -> Result<String> {
    let family: toml::Table = family.parse().context("the family's file can't be read")?;
    let mut text = format!("{SCHEMA_WORD} ../{SCHEMA}\n# Every key with its meaning: docs/adding-a-board.md\n");
    let _ = writeln!(text, "title = {}", toml::Value::from(title));
    let mut repeated = String::new();
    for (key, value) in &family {
        let shown = value.to_string();
        if key != "title" && !value.is_table() && shown.chars().count() <= SHOWN_VALUE_MAX_CHARS {
            let _ = writeln!(repeated, "#{key} = {shown}");
        }
    }
    if !repeated.is_empty() {
        let _ = write!(
            text,
            "\n# The family says the following; take the # away and change what differs. A list replaces the family's list.\n{repeated}"
        );
    }
    let tables: Vec<&str> = family.iter().filter(|(_, value)| value.is_table()).map(|(key, _)| key.as_str()).collect();
    if !tables.is_empty() {
        let _ = writeln!(text, "# It also has these tables, of which each key can be replaced here: {}", tables.join(", "));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAMILY: &str =
        "arch = \"amd64\"\nboot-flow = \"uefi\"\nconsoles = [\"tty0\"]\nkernel = \"linux-image-amd64\"\n[modules]\nkeep = [\"net/**\"]\n";

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("board-configs/fam");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("family.toml"), FAMILY).unwrap();
        std::fs::write(folder.join("one.toml"), "title = \"One\"\n").unwrap();
        dir
    }

    fn plan(dir: &Path, family: &str, name: &str, like: Option<&str>) -> Result<Vec<(PathBuf, String)>> {
        let new = New { family: family.to_owned(), name: name.to_owned(), title: None, like: like.map(str::to_owned) };
        let trees = Trees::new(dir, &[]);
        new.plan(&trees, &trees.catalog().unwrap())
    }

    fn write(dir: &Path, files: &[(PathBuf, String)]) {
        for (path, text) in files {
            std::fs::create_dir_all(dir.join(path).parent().unwrap()).unwrap();
            std::fs::write(dir.join(path), text).unwrap();
        }
    }

    #[test]
    fn a_new_board_is_read_as_it_is_written() {
        let dir = tree();
        let files = plan(dir.path(), "fam", "two", None).unwrap();
        assert_eq!(files.len(), 1);
        assert!(
            files[0].1.contains("\n#consoles = [\"tty0\"]\n")
                && files[0].1.contains("tables, of which each key can be replaced here: modules")
        );
        write(dir.path(), &files);
        let catalog = Catalog::load(&[dir.path()]).unwrap();
        assert_eq!(catalog.board("two").unwrap().kernel, "linux-image-amd64");
        // Every repeated line is a good one.
        let text = files[0].1.replace("\n#", "\n").replace("\nEvery", "\n#Every").replace("\n The", "\n#The").replace("\n It", "\n#It");
        write(dir.path(), &[(files[0].0.clone(), text.replace(" Every key", "# Every key"))]);
        assert!(Catalog::load(&[dir.path()]).is_ok());
    }

    #[test]
    fn a_new_family_begins_as_a_copy() {
        let dir = tree();
        let error = plan(dir.path(), "new", "two", None).unwrap_err().to_string();
        assert!(error.contains("there are: fam") && error.contains("--like BOARD"), "{error}");
        let files = plan(dir.path(), "new", "two", Some("one")).unwrap();
        write(dir.path(), &files);
        let catalog = Catalog::load(&[dir.path()]).unwrap();
        assert_eq!(catalog.board("two").unwrap().modules, catalog.board("one").unwrap().modules);
        assert_eq!(catalog.board("two").unwrap().family, "new");
    }

    #[test]
    fn what_is_written_into_an_added_tree_has_its_schema_there() {
        let (repo, community) = (tree(), tempfile::tempdir().unwrap());
        let trees = Trees::new(repo.path(), &[community.path().to_owned()]);
        let write = |family: &str, name: &str, like: Option<&str>| {
            let new = New { family: family.to_owned(), name: name.to_owned(), title: None, like: like.map(str::to_owned) };
            let written = new.write(&trees).unwrap();
            let below = |path: &PathBuf| path.strip_prefix(community.path().join(FOLDER)).unwrap().display().to_string();
            written.iter().map(below).collect::<Vec<_>>()
        };
        let text = |path: &str| std::fs::read_to_string(community.path().join(FOLDER).join(path)).unwrap();
        let current = schema::text(&schema::board());
        assert_eq!(write("new", "two", Some("one")), ["new/family.toml", "new/two.toml", "schema.json"]);
        assert_eq!(text("schema.json"), current);
        let begun = "#:schema ../schema.json\n# Begun as a copy of board-configs/fam/family.toml";
        assert!(text("new/family.toml").starts_with(begun), "{}", text("new/family.toml"));
        assert!(text("new/two.toml").starts_with("#:schema ../schema.json\n"));
        // What a family was copied from may have the line already.
        assert_eq!(write("newer", "three", Some("two")), ["newer/family.toml", "newer/three.toml"]);
        assert_eq!(text("newer/family.toml").matches("#:schema").count(), 1);
        // One of an older builder is made anew.
        std::fs::write(community.path().join(FOLDER).join(SCHEMA), "{}\n").unwrap();
        assert_eq!(write("fam", "four", None), ["fam/four.toml", "schema.json"]);
        assert_eq!(text("schema.json"), current);
        assert!(trees.catalog().is_ok());
    }

    #[test]
    fn the_checkout_s_schema_is_not_written_by_a_new_board() {
        let repo = tree();
        let new = New { family: "fam".to_owned(), name: "two".to_owned(), title: None, like: None };
        assert_eq!(new.write(&Trees::new(repo.path(), &[])).unwrap(), [repo.path().join("board-configs/fam/two.toml")]);
        assert!(!repo.path().join("board-configs/schema.json").exists());
    }

    #[test]
    fn names_that_are_taken_or_none_are_refused() {
        let dir = tree();
        for (family, name, like, words) in [
            ("fam", "one", None, "already: board-configs/fam/family.toml, board-configs/fam/one.toml"),
            ("fam", "../x", None, "can't be a name"),
            ("Fam", "two", None, "can't be a name"),
            ("fam", "family", None, "call the board otherwise"),
            ("fam", "two", Some("one"), "leave --like out"),
            ("new", "two", Some("onee"), "did you mean `one`?"),
        ] {
            let error = plan(dir.path(), family, name, like).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
