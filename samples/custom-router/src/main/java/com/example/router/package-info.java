/** A router that a researcher might write. */
@NullMarked
package com.example.router;

import org.jspecify.annotations.NullMarked;
