/** The lines that an application developer copies. */
@NullMarked
package com.example.quickstart;

import org.jspecify.annotations.NullMarked;
