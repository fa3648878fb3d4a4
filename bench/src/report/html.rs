use std::fmt;

/// Markup. Text becomes a part of it only escaped.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(super) struct Html(String);

impl Html {
    /// Markup of our own making.
    pub(super) fn trusted(markup: String) -> Self {
        Self(markup)
    }

    /// Text, whatever is in it.
    pub(super) fn text(text: &str) -> Self {
        let mut escaped = String::with_capacity(text.len());
        for one in text.chars() {
            match one {
                '&' => escaped.push_str("&amp;"),
                '<' => escaped.push_str("&lt;"),
                '>' => escaped.push_str("&gt;"),
                '"' => escaped.push_str("&quot;"),
                other => escaped.push(other),
            }
        }
        Self(escaped)
    }

    /// An element with text in it.
    pub(super) fn element(tag: &str, text: &str) -> Self {
        Self(format!("<{tag}>{}</{tag}>\n", Self::text(text).0))
    }

    /// Whether there is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds more.
    pub(super) fn add(&mut self, more: &Self) {
        self.0.push_str(&more.0);
    }

    /// A table. The first column is text, the others are numbers.
    pub(super) fn table(header: &[&str], rows: &[Vec<String>]) -> Self {
        let cells = |tag: &str, cells: &mut dyn Iterator<Item = &str>| {
            let cells: String =
                cells.map(|cell| format!("<{tag}>{}</{tag}>", Self::text(cell).0)).collect();
            format!("<tr>{cells}</tr>\n")
        };
        let head = cells("th", &mut header.iter().copied());
        let body: String =
            rows.iter().map(|row| cells("td", &mut row.iter().map(String::as_str))).collect();
        Self(format!(
            "<div class=\"scroll\"><table><thead>{head}</thead><tbody>{body}</tbody></table></div>\n"
        ))
    }

    /// A list of sentences.
    pub(super) fn list(items: impl Iterator<Item = Self>) -> Self {
        let items: String = items.map(|item| format!("<li>{}</li>", item.0)).collect();
        Self(format!("<ul>{items}</ul>\n"))
    }

    /// A way to another page, readable on paper as well. What is no https address stays text: it
    /// was read from a file, and might run.
    pub(super) fn link(address: &str) -> Self {
        let text = Self::text(address).0;
        match address.starts_with("https://") {
            true => Self(format!("<a href=\"{text}\">{text}</a>")),
            false => Self(text),
        }
    }

    /// A chart with what it shows, and who is who in it: names, and numbers of their colours.
    pub(super) fn figure(title: &str, legend: &[(&str, usize)], chart: &Self) -> Self {
        if chart.is_empty() {
            return Self::default();
        }
        let keys = legend.iter().map(|(name, series)| {
            let colour = series % super::chart::SERIES;
            let swatch = format!("<i style=\"background:var(--series-{colour})\"></i>");
            format!("<li>{swatch}{}</li>", Self::text(name).0)
        });
        let keys: String = keys.collect();
        let legend =
            if keys.is_empty() { keys } else { format!("<ul class=\"legend\">{keys}</ul>") };
        let title = Self::text(title).0;
        Self(format!("<figure><figcaption>{title}</figcaption>{legend}\n{}</figure>\n", chart.0))
    }

    /// Something to unfold.
    pub(super) fn details(summary: &str, inside: &Self) -> Self {
        let summary = Self::text(summary).0;
        Self(format!("<details><summary>{summary}</summary>\n{}</details>\n", inside.0))
    }
}

impl fmt::Display for Html {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_goes_to_a_page_and_nowhere_else() {
        let link = |address: &str| Html::link(address).to_string();
        assert_eq!(link("https://a/?b&c"), "<a href=\"https://a/?b&amp;c\">https://a/?b&amp;c</a>");
        assert_eq!(
            link("https://\"><i>"),
            "<a href=\"https://&quot;&gt;&lt;i&gt;\">https://&quot;&gt;&lt;i&gt;</a>"
        );
        assert_eq!(link("javascript:alert()"), "javascript:alert()");
    }

    #[test]
    fn text_is_no_markup() {
        let table = Html::table(&["a<b"], &[vec!["<script>\"&".to_owned()]]).to_string();
        assert!(table.contains("<th>a&lt;b</th>"));
        assert!(table.contains("<td>&lt;script&gt;&quot;&amp;</td>"));
    }
}
