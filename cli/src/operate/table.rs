//! Tables for people: columns as wide as their widest cell.

/// Prints a head and the rows below it.
pub(super) fn print<const N: usize>(heads: [&str; N], rows: impl IntoIterator<Item = [String; N]>) {
    let rows: Vec<[String; N]> = rows.into_iter().collect();
    for line in lines(heads, &rows) {
        println!("{line}");
    }
}

fn lines<const N: usize>(heads: [&str; N], rows: &[[String; N]]) -> Vec<String> {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([heads[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: [usize; N] = core::array::from_fn(width);
    let line = |cells: [&str; N]| {
        let cells = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let head = line(heads);
    let body = rows.iter().map(|row| line(core::array::from_fn(|column| row[column].as_str())));
    [head].into_iter().chain(body).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_the_script() {
        let rows = [["案内係".to_owned(), "x".to_owned()], ["a".to_owned(), "yy".to_owned()]];
        assert_eq!(lines(["name", "b"], &rows), ["name  b", "案内係   x", "a     yy"]);
    }
}
