//! The shape of letmein 12's files: sections of options. A line that begins with a blank goes on with the value of the
//! line before, and `#` begins a comment only where a line begins.

use crate::ImportError;
use zeroize::Zeroizing;

/// A file.
pub struct Ini {
    sections: Vec<Section>,
}

/// A section, and what in it has been asked for.
pub struct Section {
    pub name: String,
    pub line: usize,
    options: Vec<Given>,
}

/// An option.
pub struct Given {
    pub name: String,
    /// Without blanks around it.
    pub value: Zeroizing<String>,
    pub line: usize,
}

impl Ini {
    pub fn parse(text: &str) -> Result<Self, ImportError> {
        let mut sections: Vec<Section> = Vec::new();
        let mut goes_on = false;
        for (line, text) in (1..).zip(text.lines()) {
            let trimmed = text.trim();
            let last = sections.last_mut().and_then(|section| section.options.last_mut());
            if let Some(last) =
                last.filter(|_| goes_on && text.starts_with([' ', '\t']) && !trimmed.is_empty())
            {
                let longer = format!("{} {trimmed}", *last.value);
                last.value = Zeroizing::new(longer);
                continue;
            }
            if trimmed.is_empty() {
                goes_on = false;
                continue;
            }
            if trimmed.starts_with('#') {
                goes_on = false;
                continue;
            }
            goes_on = false;
            if let Some(name) = trimmed.strip_prefix('[') {
                let name = name.strip_suffix(']').filter(|name| !name.is_empty());
                let name = name.ok_or_else(|| ImportError::at(line, "a section is written as [NAME]"))?;
                if sections.iter().any(|section| section.name == name) {
                    return Err(ImportError::at(line, format!("section [{name}] is there twice")));
                }
                sections.push(Section {
                    name: name.to_owned(),
                    line,
                    options: Vec::new(),
                });
                continue;
            }
            let option = trimmed
                .split_once('=')
                .filter(|(name, _)| !name.trim().is_empty());
            let (name, value) =
                option.ok_or_else(|| ImportError::at(line, "this is neither a section nor an option"))?;
            let section = sections
                .last_mut()
                .ok_or_else(|| ImportError::at(line, "this option is in no section"))?;
            let name = name.trim_end();
            if section.options.iter().any(|option| option.name == name) {
                return Err(ImportError::at(line, "this option is there twice"));
            }
            section.options.push(Given {
                name: name.to_owned(),
                value: Zeroizing::new(value.trim().to_owned()),
                line,
            });
            goes_on = true;
        }
        Ok(Self { sections })
    }

    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The options of a section, in the order of the file.
    pub fn options(&self, section: &str) -> &[Given] {
        let found = self.sections.iter().find(|other| other.name == section);
        found.map_or(&[], |section| &section.options)
    }

    pub fn get(&self, section: &str, option: &str) -> Option<&Given> {
        self.options(section).iter().find(|given| given.name == option)
    }
}

impl Section {
    pub fn options(&self) -> &[Given] {
        &self.options
    }
}
