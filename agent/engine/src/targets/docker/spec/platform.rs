//! Platforms: `os[/arch[/variant]]` in the form that engines compare.

/// The common names of an architecture and its variant.
fn architecture(arch: &str, variant: &str) -> (String, String) {
    let (arch, variant) = (arch.to_lowercase(), variant.to_lowercase());
    let (arch, variant) = match arch.as_str() {
        "i386" => ("386", String::new()),
        "x86_64" | "x86-64" | "amd64" => ("amd64", if variant == "v1" { String::new() } else { variant }),
        "aarch64" | "arm64" => (
            "arm64",
            if matches!(variant.as_str(), "8" | "v8") {
                String::new()
            } else {
                variant
            },
        ),
        "armhf" => ("arm", "v7".to_owned()),
        "armel" => ("arm", "v6".to_owned()),
        "arm" => (
            "arm",
            match variant.as_str() {
                "" | "7" => "v7".to_owned(),
                "5" | "6" | "8" => format!("v{variant}"),
                _ => variant,
            },
        ),
        other => (other, variant),
    };
    (arch.to_owned(), variant)
}

fn os(text: &str) -> String {
    match text.to_lowercase().as_str() {
        "macos" => "darwin".to_owned(),
        other => other.to_owned(),
    }
}

fn host() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

/// As docker compose writes it in its requests.
pub(in crate::targets::docker) fn normal(text: &str) -> String {
    let parts: Vec<&str> = text.split('/').collect();
    match parts.as_slice() {
        [one] => match os(one).as_str() {
            known @ ("linux" | "windows" | "darwin" | "freebsd" | "wasip1") => format!("{known}/{}", host()),
            _ => join("linux", architecture(one, ""), true),
        },
        [system, arch] => join(&os(system), architecture(arch, ""), true),
        [system, arch, variant] => {
            let (arch, variant) = architecture(arch, variant);
            let variant = if arch == "arm64" && variant.is_empty() {
                "v8".to_owned()
            } else {
                variant
            };
            join(&os(system), (arch, variant), false)
        }
        _ => text.to_owned(),
    }
}

/// 32-bit ARM is version 7 unless it says otherwise.
fn join(system: &str, (arch, variant): (String, String), implied: bool) -> String {
    if variant.is_empty() || (implied && arch == "arm" && variant == "v7") {
        format!("{system}/{arch}")
    } else {
        format!("{system}/{arch}/{variant}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let check = |text: &str, is: &str| assert_eq!(normal(text), is, "{text}");
        check("linux/amd64", "linux/amd64");
        check("linux/x86_64", "linux/amd64");
        check("Linux/AArch64", "linux/arm64");
        check("linux/arm64/v8", "linux/arm64/v8");
        check("linux/arm", "linux/arm");
        check("linux/arm/v7", "linux/arm/v7");
        check("linux/armhf", "linux/arm");
        check("linux/arm/6", "linux/arm/v6");
        check("linux/386", "linux/386");
        check("arm64", "linux/arm64");
        check("linux", &format!("linux/{}", host()));
    }
}
