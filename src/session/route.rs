//! The number of a connection's handler and limits, and the parameters in its path.

use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// The handler and the limits of a connection, as one number. `Paths` assigns these numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Route(u16);

impl Route {
    /// The handler of the server as a whole, and of every path if there are no routes, with the limits of `Config`.
    pub(crate) const ROOT: Route = Route(0);
    /// Set if this side opened the connection.
    pub(crate) const OUTGOING: u16 = 1 << 15;

    /// The route with this number; `None` if the number is too large.
    pub(crate) fn new(number: usize) -> Option<Route> {
        u16::try_from(number).ok().filter(|number| *number < Route::OUTGOING).map(Route)
    }

    /// The same handler, for a connection that this side opens.
    pub(crate) fn outgoing(self) -> Route {
        Route(self.0 | Route::OUTGOING)
    }

    /// The route of the raw TCP listener whose framing has this number.
    pub(crate) fn tcp(framing: u8) -> Route {
        Route(1 + u16::from(framing))
    }

    pub(crate) fn is_outgoing(self) -> bool {
        self.0 & Route::OUTGOING != 0
    }

    pub(crate) fn number(self) -> usize {
        usize::from(self.0 & !Route::OUTGOING)
    }
}

/// The values of a route's parameters.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Params<'a>(pub(crate) Option<&'a matchit::Params<'a, 'a>>);

impl<'a> Params<'a> {
    /// Percent-decoded; `None` if there is no such parameter, or it is not UTF-8.
    pub(crate) fn get(self, name: &str) -> Option<Cow<'a, str>> {
        percent_decode_str(self.0?.get(name)?).decode_utf8().ok()
    }
}
