/** The families of models: each a class that turns a configuration into an architecture. */
@NullMarked
package dev.lorikeet.files.family;

import org.jspecify.annotations.NullMarked;
