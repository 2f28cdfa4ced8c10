//! The modules of a crate, and which file takes which names from which.

use super::names::{Names, names};
use crate::File;
use std::collections::{BTreeMap, BTreeSet};

/// A path of modules from the crate's top; the top is empty.
type Path = Vec<String>;

/// A file's needs: for each other file, the names that it takes from it.
pub(super) type Needs = BTreeMap<String, BTreeSet<String>>;

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Module(Path),
    /// An item of this module.
    Item(Path),
}

struct Module<'a> {
    file: &'a str,
    names: Names,
}

/// The modules of one crate.
pub(super) struct Crate<'a> {
    modules: BTreeMap<Path, Module<'a>>,
}

impl<'a> Crate<'a> {
    /// The crate in a folder such as `common/src`.
    pub(super) fn new(folder: &str, files: &'a [File]) -> Self {
        let of = |file: &'a File| {
            let path = file.path.strip_prefix(folder)?.strip_prefix('/')?.strip_suffix(".rs")?;
            let mut path: Path = path.split('/').map(str::to_owned).collect();
            path.pop_if(|last| last == "mod" || last == "lib");
            Some((path, Module { file: &file.path, names: names(&file.text) }))
        };
        Crate { modules: files.iter().filter(|file| !file.tests()).filter_map(of).collect() }
    }

    /// What each file needs of the others.
    pub(super) fn needs(&self) -> BTreeMap<String, Needs> {
        self.modules.iter().map(|(path, module)| (module.file.to_owned(), self.of(path, module))).collect()
    }

    fn of(&self, path: &Path, module: &Module<'_>) -> Needs {
        let names = &module.names;
        let mut needs = Needs::new();
        let mut take = |name: &str, targets: Vec<Target>| {
            for target in targets {
                let Target::Item(from) = target else { continue };
                if path.starts_with(&from) {
                    continue;
                }
                let file = self.modules[&from].file;
                if file != module.file {
                    needs.entry(file.to_owned()).or_default().insert(name.to_owned());
                }
            }
        };
        for import in names.imports.iter().filter(|import| import.name != "*") {
            // A name that is only handed on is not needed here.
            if !import.public || names.words.contains(&import.name) {
                let name = import.path.last().map_or("", String::as_str);
                take(name, self.resolve(path, &import.path, &mut Vec::new()));
            }
        }
        for used in &names.paths {
            take(used.last().map_or("", String::as_str), self.resolve(path, used, &mut Vec::new()));
        }
        for word in names.words.iter().filter(|word| !names.defines.contains(*word)) {
            if !names.imports.iter().any(|import| import.name == **word) {
                take(word, self.by_glob(path, word, &mut Vec::new()));
            }
        }
        needs
    }

    /// Where a path leads, seen from a module. Empty if it leads out of the crate.
    fn resolve(&self, from: &Path, path: &[String], seen: &mut Vec<(Path, String)>) -> Vec<Target> {
        let Some((first, rest)) = path.split_first() else { return Vec::new() };
        let start = match first.as_str() {
            "crate" => vec![Target::Module(Path::new())],
            "self" => vec![Target::Module(from.clone())],
            "super" => {
                let Some((_, parent)) = from.split_last() else { return Vec::new() };
                if rest.first().is_some_and(|next| next == "super") {
                    return self.resolve(&parent.to_vec(), rest, seen);
                }
                vec![Target::Module(parent.to_vec())]
            }
            name => self.lookup(from, name, seen),
        };
        self.walk(start, rest, seen)
    }

    fn walk(&self, mut here: Vec<Target>, path: &[String], seen: &mut Vec<(Path, String)>) -> Vec<Target> {
        for name in path {
            let module = here.iter().find_map(|target| match target {
                Target::Module(path) => Some(path.clone()),
                Target::Item(_) => None,
            });
            // Behind an item there are its variants, functions and constants.
            let Some(module) = module else { return here };
            let next = self.lookup(&module, name, seen);
            let handed = self.modules[&module].names.imports.iter().any(|import| import.name == *name);
            here = match next.is_empty() && !handed {
                true => vec![Target::Item(module)], // made by a macro
                false => next,
            };
        }
        here
    }

    /// What a name means in a module: a module, an item, what an import gives, or nothing of this crate.
    fn lookup(&self, module: &Path, name: &str, seen: &mut Vec<(Path, String)>) -> Vec<Target> {
        let Some(Module { names, .. }) = self.modules.get(module) else { return Vec::new() };
        let child: Path = module.iter().cloned().chain([name.to_owned()]).collect();
        let mut found = Vec::new();
        if names.modules.contains(name) && self.modules.contains_key(&child) {
            found.push(Target::Module(child));
        }
        let key = (module.clone(), name.to_owned());
        if seen.contains(&key) {
            return found; // `use read::read`: the first is the module
        }
        seen.push(key);
        if names.defines.contains(name) {
            found.push(Target::Item(module.clone()));
        }
        for import in names.imports.iter().filter(|import| import.name == name) {
            found.extend(self.resolve(module, &import.path, seen));
        }
        if found.is_empty() {
            found = self.by_glob(module, name, seen);
        }
        seen.pop();
        found
    }

    fn by_glob(&self, module: &Path, name: &str, seen: &mut Vec<(Path, String)>) -> Vec<Target> {
        let globs = self.modules[module].names.imports.iter().filter(|import| import.name == "*");
        let modules = globs.flat_map(|import| self.resolve(module, &import.path, seen)).collect::<Vec<_>>();
        let paths = modules.into_iter().filter_map(|target| match target {
            Target::Module(path) => Some(path),
            Target::Item(_) => None,
        });
        paths.flat_map(|path| self.lookup(&path, name, seen)).collect()
    }
}
