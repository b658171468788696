//! Baskets: what people really bought together, one basket a line, item names parted by commas.
//! Leaves which product a name means to `names`.

use std::path::Path;

use crate::error::LoadError;

/// The item names of one basket, trimmed and in lower case.
pub(crate) type Basket = Vec<String>;

/// Reads the first `limit` baskets of a file.
pub(crate) fn read(path: &Path, limit: Option<usize>) -> Result<Vec<Basket>, LoadError> {
    let text = std::fs::read_to_string(path).map_err(|source| LoadError::File { path: path.to_owned(), source })?;
    let mut baskets = parse(&text);
    baskets.truncate(limit.unwrap_or(usize::MAX));
    Ok(baskets)
}

fn parse(text: &str) -> Vec<Basket> {
    let items = |line: &str| -> Basket {
        line.split(',').map(|item| item.trim().to_lowercase()).filter(|item| !item.is_empty()).collect()
    };
    text.lines().map(items).filter(|basket| !basket.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_folded_and_empty_ones_dropped() {
        let baskets = parse("Whole milk,cream cheese ,\r\n\n , \nInstant food products\n");
        assert_eq!(baskets, vec![vec!["whole milk", "cream cheese"], vec!["instant food products"]]);
    }
}
