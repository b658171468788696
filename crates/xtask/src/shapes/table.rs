//! The figures of all shapes beside each other, with what each is of the first.
//! Leaves measuring to `shapes`.

use std::fmt::Write;

/// How wide the name of a figure is, and the cell of a shape.
const NAME_CHARS: usize = 34;
const CELL_CHARS: usize = 19;

/// One thing that was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Figure {
    pub(super) name: &'static str,
    pub(super) value: f64,
}

/// A table of the shapes of these names, each with the same figures in the same order.
pub(super) fn render(shapes: &[(&str, Vec<Figure>)]) -> String {
    let mut text = format!("{:NAME_CHARS$}", "");
    for (name, _) in shapes {
        text += &format!("{name:>CELL_CHARS$}");
    }
    let Some((_, first)) = shapes.first() else { return text };
    for (row, figure) in first.iter().enumerate() {
        // A string takes whatever is written to it.
        let _ = write!(text, "\n{:NAME_CHARS$}", figure.name);
        for (_, figures) in shapes {
            text += &format!("{:>CELL_CHARS$}", cell(figures[row].value, figure.value));
        }
    }
    text
}

/// A value and how many times that of the first shape it is.
fn cell(value: f64, first: f64) -> String {
    match (value, first) {
        (0.0, _) => "-".to_owned(),
        (_, 0.0) => number(value),
        _ => format!("{} ×{:.1}", number(value), value / first),
    }
}

fn number(value: f64) -> String {
    if value < 10.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shape_is_compared_with_the_first() {
        let figures = |rate, cpu| vec![Figure { name: "orders/s", value: rate }, Figure { name: "Kafka", value: cpu }];
        let text = render(&[("one", figures(200.0, 0.0)), ("many", figures(50.0, 1.5))]);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines, [vec!["one", "many"], vec!["orders/s", "200", "×1.0", "50", "×0.2"], vec!["Kafka", "-", "1.50"]]);
    }
}
