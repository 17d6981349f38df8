//! The same checks under both kinds of XDP.

/// Makes a test of each function, which takes a [`crate::site::Site`], with XDP in the driver; and one of all of them
/// together with XDP in the network stack, which runs the same program behind the kernel's own preparation of a
/// frame.
macro_rules! native_and_generic {
    ($($name:ident),+ $(,)?) => {
        mod native {
            $(#[test]
            fn $name() {
                super::$name(&mut crate::site::Site::new("native"));
            })+
        }

        #[test]
        fn all_with_generic_xdp() {
            let mut site = crate::site::Site::new("generic");
            $($name(&mut site);)+
        }
    };
}

pub(crate) use native_and_generic;
