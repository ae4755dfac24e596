/** Tests. */
@NullMarked
package dev.lorikeet.files.model;

import org.jspecify.annotations.NullMarked;
