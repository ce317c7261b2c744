//! Plots as SVG: points and lines over two axes, the legend above them where it covers nothing.

use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, Cross, DynElement, IntoDynElement, PathElement, TriangleMarker};
use plotters::prelude::SVGBackend;
use plotters::series::LineSeries;
use plotters::style::{Color, IntoTextStyle, RGBColor, WHITE};

type PlotArea<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type PlotPlane<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<PlotAxis, PlotAxis>>;
type DrawResult = Result<(), Box<dyn std::error::Error>>;

/// Okabe and Ito's colours, which people who see few colours can tell apart.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(0, 0, 0),
];
const GREY: RGBColor = RGBColor(110, 110, 110);
const WIDTH: u32 = 900;
const TITLE: u32 = 34;
const LEGEND: u32 = 30;
const FONT: i32 = 15;

/// A plot.
pub struct Plot {
    /// What it shows.
    pub title: String,
    /// From left to right.
    pub x: PlotAxis,
    /// From bottom to top.
    pub y: PlotAxis,
    /// What is drawn, in the order of the legend.
    pub series: Vec<PlotSeries>,
    /// Pixels.
    pub height: u32,
    /// A thin line across at this value of x or y, to compare with.
    pub mark: Option<PlotMark>,
}

/// A line to compare with.
#[derive(Clone, Copy)]
pub enum PlotMark {
    /// Vertical.
    X(f64),
    /// Horizontal.
    Y(f64),
}

/// An axis. Its ticks are given, so that they fall on values that mean something.
#[derive(Clone)]
pub struct PlotAxis {
    /// With its unit.
    pub title: String,
    /// Each decade has the same length.
    pub log: bool,
    /// Values and what is written there.
    pub ticks: Vec<(f64, String)>,
    /// Least and greatest value shown.
    pub range: (f64, f64),
}

/// Points that belong together.
pub struct PlotSeries {
    /// In the legend.
    pub name: String,
    /// In order of x, if joined.
    pub points: Vec<PlotPoint>,
    /// Joined by a line.
    pub line: bool,
}

/// A point with, perhaps, an interval in x that it may as well lie at.
#[derive(Clone, Copy)]
pub struct PlotPoint {
    /// Where.
    pub x: f64,
    /// Where.
    pub y: f64,
    /// Least and greatest.
    pub interval: Option<(f64, f64)>,
}

impl PlotPoint {
    /// Without interval.
    pub fn new(x: f64, y: f64) -> Self {
        Self { x, y, interval: None }
    }
}

impl PlotAxis {
    /// Equal steps from `from` to `to`.
    pub fn linear(title: &str, (from, to): (f64, f64), step: f64) -> Self {
        let steps = ((to - from) / step + 1e-9) as usize;
        let digits = usize::from(step < 1.0) + usize::from(step < 0.1);
        let tick = |nr| from + nr as f64 * step;
        let ticks = (0..=steps).map(|nr| (tick(nr), format!("{:.digits$}", tick(nr)))).collect();
        Self { title: title.into(), log: false, ticks, range: (from, to) }
    }

    /// A logarithmic axis with ticks at these values.
    pub fn log(title: &str, range: (f64, f64), ticks: impl IntoIterator<Item = (f64, String)>) -> Self {
        Self { title: title.into(), log: true, ticks: ticks.into_iter().collect(), range }
    }

    /// One place for each of these names, the first one on top.
    pub fn names(names: &[String]) -> Self {
        let ticks = names.iter().enumerate().map(|(nr, name)| (-(nr as f64), name.clone())).collect();
        Self { title: String::new(), log: false, ticks, range: (0.5 - names.len() as f64, 0.5) }
    }

    /// Where a value lies on the line.
    fn place(&self, value: f64) -> f64 {
        if self.log { libm::log10(value) } else { value }
    }

    /// Pixels that the labels take beside a vertical axis.
    fn width(&self) -> u32 {
        let longest = self.ticks.iter().map(|(_, label)| label.chars().count()).max().unwrap_or(0) as u32;
        16 + longest * 8 + if self.title.is_empty() { 0 } else { 26 }
    }
}

impl Ranged for PlotAxis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let (low, high) = (self.place(self.range.0), self.place(self.range.1));
        // What is outside of the range stands at its edge.
        let part = ((self.place(*value) - low) / (high - low)).clamp(0.0, 1.0);
        from + (part * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.ticks.iter().map(|(value, _)| *value).collect()
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.range.0..self.range.1
    }
}

impl ValueFormatter<f64> for PlotAxis {
    fn format_ext(&self, value: &f64) -> String {
        self.ticks.iter().find(|(tick, _)| tick == value).map(|(_, label)| label.clone()).unwrap_or_default()
    }
}

impl Plot {
    /// The plot as an SVG document.
    pub fn svg(&self) -> String {
        let mut svg = String::new();
        let area = SVGBackend::with_string(&mut svg, (WIDTH, self.height)).into_drawing_area();
        // Drawing into a string does not fail, and the ranges are not empty.
        self.draw(&area).expect("plots are drawn into memory");
        drop(area);
        svg
    }

    fn draw(&self, area: &PlotArea) -> DrawResult {
        area.fill(&WHITE)?;
        area.draw_text(&self.title, &("sans-serif", FONT + 3).into_text_style(area), (12, 10))?;
        self.draw_legend(area)?;
        let (_, below) = area.split_vertically(TITLE + LEGEND);
        let (x, y) = (&self.x, &self.y);
        let mut builder = ChartBuilder::on(&below);
        builder.margin(8).margin_right(24).x_label_area_size(56).y_label_area_size(y.width());
        let mut plane = builder.build_cartesian_2d(x.clone(), y.clone())?;
        let mut mesh = plane.configure_mesh();
        mesh.axis_style(GREY).bold_line_style(GREY.mix(0.25)).light_line_style(WHITE.mix(0.0));
        mesh.label_style(("sans-serif", FONT)).axis_desc_style(("sans-serif", FONT));
        mesh.x_desc(&x.title).y_desc(&y.title).draw()?;
        self.draw_mark(&mut plane)?;
        self.series.iter().enumerate().try_for_each(|(nr, series)| draw_series(&mut plane, nr, series))
    }

    /// Names and markers in a row, each as wide as its name.
    fn draw_legend(&self, area: &PlotArea) -> DrawResult {
        let mut left = 24;
        for (nr, series) in self.series.iter().enumerate().filter(|_| self.series.len() > 1) {
            let middle = (TITLE + LEGEND / 2) as i32;
            area.draw(&marker(nr, (left, middle)))?;
            let style = ("sans-serif", FONT).into_text_style(area);
            area.draw_text(&series.name, &style, (left + 12, middle - FONT / 2 + 2))?;
            left += 44 + series.name.chars().count() as i32 * 8;
        }
        Ok(())
    }

    fn draw_mark(&self, plane: &mut PlotPlane) -> DrawResult {
        let ends = match self.mark {
            None => return Ok(()),
            Some(PlotMark::X(x)) => [(x, self.y.range.0), (x, self.y.range.1)],
            Some(PlotMark::Y(y)) => [(self.x.range.0, y), (self.x.range.1, y)],
        };
        plane.draw_series([PathElement::new(ends, GREY.stroke_width(2))])?;
        Ok(())
    }
}

fn draw_series(plane: &mut PlotPlane, nr: usize, series: &PlotSeries) -> DrawResult {
    let colour = COLOURS[nr % COLOURS.len()];
    let places = || series.points.iter().map(|point| (point.x, point.y));
    if series.line {
        plane.draw_series(LineSeries::new(places(), colour.stroke_width(2)))?;
    }
    let intervals = series.points.iter().filter_map(|point| Some((point.interval?, point.y)));
    plane
        .draw_series(intervals.map(|((from, to), y)| PathElement::new([(from, y), (to, y)], colour.stroke_width(2))))?;
    plane.draw_series(places().map(|place| marker(nr, place)))?;
    Ok(())
}

/// The marker of the numbered series: its own colour and its own shape.
fn marker<'b, C: Clone + 'static>(nr: usize, at: C) -> DynElement<'static, SVGBackend<'b>, C> {
    let colour = COLOURS[nr % COLOURS.len()];
    match nr % COLOURS.len() {
        0 => Circle::new(at, 5, colour.filled()).into_dyn(),
        1 => TriangleMarker::new(at, 6, colour.filled()).into_dyn(),
        2 => Circle::new(at, 5, colour.stroke_width(2)).into_dyn(),
        3 => Cross::new(at, 5, colour.stroke_width(3)).into_dyn(),
        4 => Circle::new(at, 4, colour.filled()).into_dyn(),
        _ => Circle::new(at, 7, colour.stroke_width(1)).into_dyn(),
    }
}
